"""Which letters are meant, how fast they go, where to, and how the outcome is summed up."""

import threading

import pytest

from operations.errors import OperationsError
from operations.letters import Letter, Queue, decode
from operations.plan import Fate, Step, decide, rows
from operations.selection import Selection, parse_age, parse_building, parse_queue, parse_thing
from operations.send_rate import CATCH_UP_S, Pace, Pacer
from pipeline.contract import Thing
from tests.support.dead_letters import FAILED_AT, iot_error, message, stream_failure
from tests.support.lambda_events import door_envelope, payload

pytestmark = pytest.mark.unit

URLS = {
    "ingest": "https://sqs.us-east-1.amazonaws.com/1/latchline-dev-ingest",
    "projector": "https://sqs.us-east-1.amazonaws.com/1/latchline-dev-projector",
}
INGEST_ARN = "arn:aws:sqs:us-east-1:1:latchline-dev-ingest"


def letter(queue: Queue = Queue.PROJECTOR_DLQ, body: object = None, *, number: int = 0) -> Letter:
    return decode(queue, message(body or door_envelope(), number=number))


@pytest.mark.parametrize(
    ("selection", "meant"),
    [
        (Selection(), True),
        (Selection(reasons={"receives_exhausted"}), True),
        (Selection(reasons={"field_missing"}), False),
        (Selection(things={Thing("maple-court", "l03")}), True),
        (Selection(things={Thing("maple-court", "l04")}), False),
        (Selection(buildings={"maple-court"}), True),
        (Selection(buildings={"birch-house"}), False),
        (Selection(older_than_s=60), True),
        (Selection(older_than_s=61), False),
        (Selection(newer_than_s=60), True),
        (Selection(newer_than_s=59), False),
        (Selection(reasons={"receives_exhausted"}, newer_than_s=59), False),
    ],
)
def test_a_selection_narrows_by_every_field(selection: Selection, meant: bool):
    """Fields narrow one another; a letter that is a minute old is both bounds of a minute."""
    assert selection.matches(letter(), FAILED_AT + 60_000) is meant


def test_who_asks_for_a_building_does_not_mean_a_letter_of_nobody():
    """A pointer into the stream does not say whose it is."""
    pointer = letter(Queue.FANOUT_DLQ, stream_failure())
    assert not Selection(buildings={"maple-court"}).matches(pointer, FAILED_AT)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("3d", 259_200)]
)
def test_an_age_has_a_unit(text: str, seconds: int):
    """As people write it."""
    assert parse_age(text) == seconds


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_age, "soon"), (parse_age, "5"), (parse_age, "-5m"), (parse_age, "1.5h"),
        (parse_queue, "dlq"), (parse_thing, "l03"), (parse_building, "Maple Court"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(parse, text: str):
    """The message says what was given."""
    with pytest.raises(OperationsError, match=text):
        parse(text)


def test_a_queue_may_be_written_either_way():
    """AWS's names have hyphens, ours underscores."""
    assert parse_queue("projector-dlq") is parse_queue("PROJECTOR_DLQ") is Queue.PROJECTOR_DLQ


@pytest.mark.parametrize(
    ("queue", "body", "destinations"),
    [
        (Queue.PROJECTOR_DLQ, door_envelope(), ("projector",)),
        (Queue.QUARANTINE, door_envelope(), ("projector",)),
        (Queue.INGEST_DLQ, door_envelope(), ("ingest",)),
        (Queue.FANOUT_DLQ, stream_failure(), ("AppSync",)),
        (Queue.IOT_ERRORS, iot_error(resources=(URLS["ingest"],)), ("ingest",)),
        (Queue.IOT_ERRORS, iot_error(resources=(INGEST_ARN,)), ("ingest",)),
        (Queue.IOT_ERRORS, iot_error(resources=(URLS["projector"],)), ("projector",)),
        (Queue.IOT_ERRORS, iot_error(resources=tuple(URLS.values())), ("projector", "ingest")),
        (Queue.IOT_ERRORS, iot_error(resources=("",)), ("ingest",)),
    ],
)
def test_each_letter_goes_to_the_queue_that_was_to_have_it(queue, body, destinations):
    """On the direct route a rule has two actions, and the failed ones are repeated."""
    assert decide(letter(queue, body), URLS, even_refused=False).destinations == destinations


def test_what_the_contract_still_refuses_stays():
    """It would be parked again at once, unless the deployed pipeline is newer than this one."""
    refused = letter(Queue.QUARANTINE, door_envelope(payload(schema=2)))
    assert decide(refused, URLS, even_refused=False).fate is Fate.REFUSED
    assert decide(refused, URLS, even_refused=True).goes


def test_what_cannot_be_rebuilt_stays():
    """There is nothing to send."""
    step = decide(letter(Queue.BUS_DLQ, "garbage"), URLS, even_refused=True)
    assert (step.fate, step.destinations) == (Fate.UNREADABLE, ())


def test_letters_that_ended_alike_are_one_row():
    """In the order of the redrive, with the count."""
    steps = [
        Step(letter(Queue.INGEST_DLQ, number=1), ("ingest",), Fate.ARRIVED, "history and tile"),
        Step(letter(number=2), ("projector",), Fate.FAILED, "InternalError: one"),
        Step(letter(number=3), ("projector",), Fate.FAILED, "InternalError: two"),
    ]
    found = [(row.queue, row.fate, row.detail, row.letters) for row in rows(steps)]
    assert found == [
        (Queue.PROJECTOR_DLQ, Fate.FAILED, "InternalError", 2),
        (Queue.INGEST_DLQ, Fate.ARRIVED, "history and tile", 1),
    ]


class VirtualStop(threading.Event):
    """An event that nobody sets; waiting for it moves the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        return self.is_set()


@pytest.mark.parametrize("rate", [1.0, 7.5, 200.0])
@pytest.mark.parametrize("size", [1, 10])
def test_a_rate_is_held(rate: float, size: int):
    """On average and over any stretch, with a stall now and then that is made up for."""
    stop = VirtualStop()
    pacer, pace = Pacer(rate, stop, lambda: stop.now), Pace(lambda: stop.now)
    for batch in range(2_000 // size):
        assert pacer.take(size)
        if batch % max(1, int(4 * rate / size)) == 0:
            stop.now += 0.4 * CATCH_UP_S  # every four seconds SQS is slow to answer
        pace.count(size)
    assert pace.per_second == pytest.approx(rate, rel=0.05)


def test_a_long_stall_is_not_made_up_for_in_a_flood():
    """After a minute of nothing, a second's worth may go at once and no more."""
    stop = VirtualStop()
    pacer = Pacer(10.0, stop, lambda: stop.now)
    assert pacer.take(1)
    stop.now += 60
    begin, sent = stop.now, 0
    while stop.now == begin:
        assert pacer.take(1)
        sent += 1
    assert sent <= 10 * CATCH_UP_S + 2


def test_who_waits_for_the_rate_can_be_stopped():
    """Ctrl-C does not wait for the next slot."""
    stop = threading.Event()
    pacer = Pacer(0.001, stop)
    assert pacer.take(1)
    threading.Timer(0.05, stop.set).start()
    assert not pacer.take(1)
