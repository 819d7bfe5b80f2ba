"""The comparison with the textbook designs, tiny, on a MiniStack without the templates."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from benchmarks.comparison.cold_start import cold_start
from benchmarks.comparison.designs import DESIGNS, Design, Function
from benchmarks.comparison.emulator import Emulator, prepared
from benchmarks.comparison.errors import ComparisonError
from benchmarks.comparison.figures import Compared, Quantity, compared
from benchmarks.comparison.measure import Scale, compare, worker
from local.endpoint import Endpoint
from tests.support.appsync_stack import ministack
from tests.support.fanouts import tile
from tests.support.lambda_events import stream_event
from tests.support.mutation_server import MutationServer, mutation_server

pytestmark = pytest.mark.integration

TINY = Scale(events=20, repetitions=1, warm_ups=0, changed=20, counted=20, cpu_batches=1)


@pytest.fixture
def appsync() -> Iterator[MutationServer]:
    with mutation_server() as server:
        yield server


@pytest.fixture
async def emulator(tmp_path: Path, appsync: MutationServer) -> AsyncIterator[Emulator]:
    with ministack(tmp_path) as stack:
        endpoint = Endpoint(stack.url, stack.access_key, stack.secret_key)
        endpoint.client("dynamodb").create_table(
            TableName="deployed",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": kind}
                for name, kind in (("pk", "S"), ("sk", "S"), ("attention", "S"))
            ],
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "attention",
                    "KeySchema": [{"AttributeName": "attention", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        queue = f"{stack.url}/000000000000/parked"
        outputs = {
            "TableName": "deployed",
            "QuarantineQueueUrl": queue,
            "FanoutDlqUrl": queue,
        }
        async with prepared(endpoint, outputs, appsync.url) as found:
            yield found
        endpoint.close()


async def test_both_designs_do_the_same_work(emulator: Emulator, appsync: MutationServer):
    """Every quantity gets a pair, the tables end alike, and the counts are those of the designs."""
    figures = await compare(emulator, TINY, lambda _: None)
    found = {each.quantity: each for each in compared(figures.pairs)}
    zips = {Quantity.ZIP_PROJECTOR, Quantity.ZIP_FANOUT}
    assert found.keys() == set(Quantity) - zips
    assert _pair(found[Quantity.REQUESTS_10_DOORS]) == (1.1, 5.0)
    assert _pair(found[Quantity.REQUESTS_2_DOORS]) == (0.3, 5.0)
    assert _pair(found[Quantity.WRITE_UNITS_10_DOORS]) == (2.0, 4.0)
    assert _pair(found[Quantity.WRITE_UNITS_2_DOORS]) == (1.2, 4.0)
    assert _pair(found[Quantity.APPSYNC_REQUESTS]) == (1 / 20, 1.0)
    assert found[Quantity.READS_MIXED].ours.median == 0
    for each in found.values():
        if each.quantity is not Quantity.READS_MIXED:
            assert all(value > 0 for pair in each.pairs for value in pair), each.quantity
    published = [tile for batch in appsync.batches() for tile in batch["tiles"]]
    assert {tile["buildingId"] for tile in published} == {f"building-{n}" for n in range(10)}


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.name)
async def test_failed_work_is_no_figure(
    emulator: Emulator, appsync: MutationServer, design: Design
):
    """A design whose records are to come again is not compared, and the message names it."""
    appsync.refused = {"maple-court"}
    event = stream_event([tile("birch-house"), tile("maple-court")])
    with pytest.raises(ComparisonError, match=rf"^{design.name}: 1 records were to come again"):
        async with worker(design, emulator.environment(design)) as asked:
            await asked.ask("handle", function="fanout", events=[event])


async def test_a_worker_that_ends_is_told(emulator: Emulator):
    """Not waited for."""
    design = DESIGNS[0]
    environment = {**emulator.environment(design), "TABLE_NAME": ""}
    with pytest.raises(ComparisonError, match=r"^latchline ended"):
        async with worker(design, environment) as asked:
            await asked.ask("handle", function="projector", events=[])


def _pair(found: Compared) -> tuple[float, float]:
    """Of the only repetition; sums of tenths are not exact."""
    ((ours, textbook),) = found.pairs
    return pytest.approx(ours), pytest.approx(textbook)


def test_a_module_that_cannot_be_imported_is_named():
    """With what Python said of it."""
    nobody = Design("nobody", "benchmarks.nobody", {})
    with pytest.raises(ComparisonError, match=r"benchmarks\.nobody\.fanout cannot be .* No module"):
        cold_start(nobody, Function.FANOUT)
