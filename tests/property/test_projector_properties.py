"""The real projector on a table: any order, duplicates, batches and passing faults, one result."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.contract import DoorEvent, Thing, format_version
from tests.support.aws import TABLE, in_process_aws, refusal
from tests.support.lambda_events import door_envelope
from tests.support.projectors import TestBench
from tests.support.strategies import as_payload, door_events, redelivered, splits

pytestmark = pytest.mark.property

THROTTLED = {
    "update_item": refusal("ThrottlingException", "UpdateItem"),
    "batch_write_item": refusal("ProvisionedThroughputExceededException", "BatchWriteItem"),
}


def envelope(event: DoorEvent) -> dict:
    return door_envelope(
        as_payload(event),
        thing=str(event.thing),
        door=event.door,
        kind=event.kind,
        received_at=event.received_at,
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        door_events(doors=("d01", "d02", "d03"), lockers=("l01", "l02")), min_size=1, max_size=14
    ).flatmap(redelivered),
    st.data(),
)
def test_any_history_of_deliveries_ends_in_the_same_table(
    events: list[DoorEvent], data: st.DataObject
):
    """What failed comes again; each tile ends as the highest version, and all is on record."""
    shuffled = data.draw(st.permutations(events))
    batches = data.draw(splits(shuffled))
    faulty = data.draw(
        st.lists(st.sampled_from([None, *THROTTLED]), min_size=len(batches), max_size=len(batches))
    )
    with in_process_aws() as aws:
        bench = TestBench(aws)
        for batch, operation in zip(batches, faulty, strict=True):
            if operation:
                bench.dynamodb.faults[operation] = _once(THROTTLED[operation])
            failed = bench.project(*map(envelope, batch))
            bench.dynamodb.faults.clear()
            again = [event for n, event in enumerate(batch) if f"m{n}" in failed]
            if again:
                assert bench.project(*map(envelope, again)) == []
        _check_tiles(aws.dynamodb, events)
        recorded = {(item["pk"]["S"], item["sk"]["S"]) for item in aws.items("EVENT#")}
        assert recorded == {
            (f"LOCKER#{event.thing}", f"EVENT#{format_version(event.version)}") for event in events
        }


def _once(error: Exception):
    pending = [error]

    def fault(_: dict) -> None:
        if pending:
            raise pending.pop()

    return fault


def _check_tiles(dynamodb, events: list[DoorEvent]) -> None:
    best: dict[tuple[Thing, str], DoorEvent] = {}
    for event in events:
        held = best.get((event.thing, event.door))
        if held is None or event.version > held.version:
            best[event.thing, event.door] = event
        elif event.version == held.version:
            earliest = min(held.received_at, event.received_at)
            best[event.thing, event.door] = replace(held, received_at=earliest)
    items = [
        item for item in dynamodb.scan(TableName=TABLE)["Items"] if item["entity"]["S"] == "TILE"
    ]
    shown = {
        (Thing(item["building"]["S"], item["locker"]["S"]), item["door"]["S"]): (
            item["version"]["S"], item["status"]["S"], item["received_at"]["N"],
        )
        for item in items
    }  # fmt: skip
    assert shown == {
        place: (format_version(event.version), event.status.value, str(event.received_at))
        for place, event in best.items()
    }
