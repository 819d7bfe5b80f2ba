"""Each resolver in the APPSYNC_JS runtime of the emulator: who may, what is asked, what comes."""

import json
from typing import Any

import pytest

from infra.resolver_code import resolver_code, resolver_fields
from pipeline import items
from pipeline.contract import DoorEvent, Kind, Thing
from pipeline.merge import Disconnect, LockerPresence, Session
from tests.support.appsync_stack import MiniStack

pytestmark = [pytest.mark.infra, pytest.mark.xdist_group("emulator")]

THING = Thing("maple-court", "l03")
EVENT = DoorEvent(
    thing=THING,
    door="d02",
    kind=Kind.FAULTED,
    boot=1763625600,
    seq=17,
    at="2026-11-20T10:00:00.042Z",
    open=False,
    occupied=True,
    fault=None,
    received_at=1795168800123,
    trace=None,
    client="maple-court:l03",
    payload="{}",
)
GRANTED = {"sub": "1", "issuer": "pool", "claims": {}, "groups": ["building:maple-court"]}
ELSEWHERE = {**GRANTED, "groups": ["building:birch-house", "building:maple"]}
NO_GROUP = {**GRANTED, "groups": None}
OPERATOR = {**GRANTED, "groups": ["operators"]}
MACHINE = {"userArn": "arn:aws:sts::000000000000:assumed-role/fanout/f", "accountId": "0"}
NOBODY = None
API_LAMBDA = {"resolverContext": {}}
BUILDING = {"buildingId": "maple-court"}


class Runtime:
    """Evaluates the code that is deployed, as AppSync's EvaluateCode does."""

    def __init__(self, emulator: MiniStack) -> None:
        self._client = emulator.client("appsync")

    def __call__(self, field: str, function: str, **context: Any) -> dict[str, Any]:
        """Return EvaluateCode's answer, with the result decoded."""
        type_name, name = field.split(".")
        answer: dict[str, Any] = self._client.evaluate_code(
            runtime={"name": "APPSYNC_JS", "runtimeVersion": "1.0.0"},
            code=resolver_code(type_name, name),
            context=json.dumps(context),
            function=function,
        )
        if "evaluationResult" in answer:
            answer["evaluationResult"] = json.loads(answer["evaluationResult"])
        return answer

    def request(self, field: str, **context: Any) -> Any:
        answer = self(field, "request", **{"identity": OPERATOR, **context})
        assert "error" not in answer, answer
        return answer["evaluationResult"]

    def response(self, field: str, **context: Any) -> Any:
        answer = self(field, "response", **{"identity": OPERATOR, **context})
        assert "error" not in answer, answer
        return answer["evaluationResult"]

    def refusal(self, field: str, function: str = "request", **context: Any) -> str:
        answer = self(field, function, **{"identity": OPERATOR, **context})
        return str(answer["error"]["message"])


@pytest.fixture(scope="module")
def runtime(emulator: MiniStack) -> Runtime:
    return Runtime(emulator)


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """An item as the data source hands it to a resolver."""
    return {name: _value(value) for name, value in item.items()}


def _value(value: dict[str, Any]) -> Any:
    ((kind, content),) = value.items()
    if kind == "N":
        return int(content)
    return plain(content) if kind == "M" else content


def tile_item(event: DoorEvent) -> dict[str, Any]:
    update = items.tile_update(event, queued_at=None, projected_at=1795168800130)
    values = update["ExpressionAttributeValues"]
    return {**update["Key"], **{name.removeprefix(":"): value for name, value in values.items()}}


def locker_item() -> dict[str, Any]:
    session = Session(1795168000000, 1, "s1")
    gone = {"s1": Disconnect(1795168700000, "MQTT_KEEP_ALIVE_TIMEOUT")}
    return items.locker_item(
        THING,
        LockerPresence(session, gone),
        revision=2,
        received_at=1795168700100,
        projected_at=1795168700200,
    )


BUILDING_FIELDS = [
    ("Query.building", BUILDING),
    ("Query.lockerHistory", {**BUILDING, "lockerId": "l03"}),
    ("Subscription.onTiles", BUILDING),
]


@pytest.mark.parametrize("identity", [GRANTED, OPERATOR, MACHINE], ids=["granted", "ops", "iam"])
@pytest.mark.parametrize(("field", "arguments"), BUILDING_FIELDS)
def test_a_building_is_open_to_its_managers_operators_and_machines(
    runtime: Runtime, field: str, arguments: dict[str, Any], identity: dict[str, Any]
) -> None:
    """Of Cognito callers, those whose groups say so; of IAM callers, all that IAM let in."""
    runtime.request(field, arguments=arguments, identity=identity)


@pytest.mark.parametrize(
    "identity",
    [ELSEWHERE, NO_GROUP, NOBODY, API_LAMBDA],
    ids=["elsewhere", "no-group", "nobody", "lambda"],
)
@pytest.mark.parametrize(("field", "arguments"), BUILDING_FIELDS)
def test_a_building_is_closed_to_everybody_else(
    runtime: Runtime, field: str, arguments: dict[str, Any], identity: dict[str, Any]
) -> None:
    """Manager of another building, of one whose name begins alike, of none; and no identity."""
    refusal = runtime.refusal(field, arguments=arguments, identity=identity)
    assert "Unauthorized" in refusal


@pytest.mark.parametrize(
    ("identity", "allowed"),
    [(OPERATOR, True), (MACHINE, True), (GRANTED, False), (NO_GROUP, False)],
    ids=["ops", "iam", "manager", "no-group"],
)
@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("Query.attention", {"status": "forced"}),
        ("Query.buildings", {}),
        ("Subscription.onAttention", {"attention": True}),
    ],
)
def test_what_spans_all_buildings_is_for_operators(
    runtime: Runtime,
    field: str,
    arguments: dict[str, Any],
    identity: dict[str, Any],
    allowed: bool,
) -> None:
    """No grant of one building is enough."""
    answer = runtime(field, "request", identity=identity, arguments=arguments)
    assert ("error" not in answer) is allowed


def test_building_asks_one_partition_consistently(runtime: Runtime) -> None:
    """A snapshot that may be older than the subscription would leave a hole."""
    request = runtime.request("Query.building", arguments={**BUILDING, "nextToken": "more"})
    assert request["operation"] == "Query"
    assert request["consistentRead"] is True
    assert request["nextToken"] == "more"
    assert request["query"]["expressionValues"] == {":pk": {"S": "BUILDING#maple-court"}}


def test_building_answers_tiles_and_lockers_with_nulls_where_nothing_is(runtime: Runtime) -> None:
    """The shapes that are pushed, from the items that are stored: no fault attribute, null."""
    faulty = DoorEvent(**{**event_fields(), "fault": "jammed", "trace": "t", "door": "d03"})
    found = [plain(tile_item(EVENT)), plain(tile_item(faulty)), plain(locker_item())]
    page = runtime.response(
        "Query.building", arguments=BUILDING, result={"items": found, "nextToken": "more"}
    )
    assert page["nextToken"] == "more"
    assert page["buildingId"] == "maple-court"
    assert page["tiles"] == [
        items.graphql_tile(tile_item(EVENT)),
        items.graphql_tile(tile_item(faulty)),
    ]
    assert page["tiles"][0]["fault"] is None
    assert page["tiles"][1]["fault"] == "jammed"
    assert page["lockers"] == [items.graphql_locker(locker_item())]


def test_an_unknown_building_is_empty(runtime: Runtime) -> None:
    """Lists, not nulls: the schema promises them."""
    page = runtime.response("Query.building", arguments=BUILDING, result={"items": []})
    assert page == {"buildingId": "maple-court", "tiles": [], "lockers": [], "nextToken": None}


def event_fields() -> dict[str, Any]:
    return {name: getattr(EVENT, name) for name in EVENT.__slots__}


def test_history_asks_newest_first_within_bounds(runtime: Runtime) -> None:
    """Events only, 50 unless asked otherwise."""
    request = runtime.request("Query.lockerHistory", arguments={**BUILDING, "lockerId": "l03"})
    assert request["limit"] == 50
    assert request["scanIndexForward"] is False
    assert request["query"]["expressionValues"] == {
        ":pk": {"S": "LOCKER#maple-court:l03"},
        ":events": {"S": "EVENT#"},
    }


@pytest.mark.parametrize("limit", [1, 100])
def test_the_limits_bounds_are_allowed(runtime: Runtime, limit: int) -> None:
    """Both ends belong to the range."""
    arguments = {"status": "fault", "limit": limit}
    assert runtime.request("Query.attention", arguments=arguments)["limit"] == limit


@pytest.mark.parametrize("limit", [0, -1, 101])
@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("Query.attention", {"status": "fault"}),
        ("Query.buildings", {}),
        ("Query.lockerHistory", {**BUILDING, "lockerId": "l"}),
    ],
)
def test_a_limit_out_of_bounds_is_told(
    runtime: Runtime, field: str, arguments: dict[str, Any], limit: int
) -> None:
    """An error that names the value, rather than silently another page than was asked for."""
    refusal = runtime.refusal(field, arguments={**arguments, "limit": limit})
    assert f"limit is {limit}, must be 1 to 100" in refusal


def test_history_answers_events_with_their_ids(runtime: Runtime) -> None:
    """The same id as in logs: `<thing>/<door>@<boot>.<seq>`."""
    item = plain(items.history_item(EVENT, days=90))
    page = runtime.response("Query.lockerHistory", arguments=BUILDING, result={"items": [item]})
    (event,) = page["items"]
    assert event["eventId"] == EVENT.event_id
    assert event["version"] == items.format_version(EVENT.version)
    assert event["fault"] is None
    assert event["trace"] is None
    assert page["nextToken"] is None


def test_buildings_are_one_partition(runtime: Runtime) -> None:
    """Names only, in the order of the sort key, page by page."""
    request = runtime.request("Query.buildings", arguments={"limit": 2, "nextToken": "more"})
    item = plain(items.building_item("maple-court"))
    assert request["query"]["expressionValues"] == {":pk": {"S": item["pk"]}}
    assert (request["limit"], request["nextToken"]) == (2, "more")
    page = runtime.response("Query.buildings", result={"items": [item], "nextToken": "on"})
    assert page == {"buildingIds": ["maple-court"], "nextToken": "on"}


def test_attention_asks_the_sparse_index(runtime: Runtime) -> None:
    """By status, newest first."""
    request = runtime.request("Query.attention", arguments={"status": "offline"})
    assert request["index"] == "attention"
    assert request["scanIndexForward"] is False
    assert request["query"]["expressionValues"] == {":attention": {"S": "offline"}}


def test_attention_answers_doors_and_lockers(runtime: Runtime) -> None:
    """A door comes with its tile, a locker with itself; the other one is null."""
    jammed = DoorEvent(**{**event_fields(), "fault": "jammed"})
    found = [plain(tile_item(jammed)), plain(locker_item())]
    door, locker = runtime.response(
        "Query.attention", arguments={"status": "fault"}, result={"items": found}
    )["items"]
    assert (door["attention"], door["doorId"], door["locker"]) == ("fault", "d02", None)
    assert door["tile"] == items.graphql_tile(tile_item(jammed))
    assert (locker["attention"], locker["doorId"], locker["tile"]) == ("offline", None, None)
    assert locker["locker"] == items.graphql_locker(locker_item())


@pytest.mark.parametrize(
    "field", ["Query.building", "Query.buildings", "Query.lockerHistory", "Query.attention"]
)
def test_an_error_of_the_table_is_an_error_of_the_field(runtime: Runtime, field: str) -> None:
    """Never an empty page: a viewer would believe it."""
    error = {"message": "throttled", "type": "DynamoDB:ThrottlingException"}
    refusal = runtime.refusal(field, "response", arguments=BUILDING, error=error, result=None)
    assert "throttled" in refusal


def test_publishing_hands_the_batch_back(runtime: Runtime) -> None:
    """What the mutation returns is what AppSync pushes."""
    batch = {"buildingId": "maple-court", "publishedAt": 1.5, "tiles": [], "lockers": []}
    request = runtime.request("Mutation.publishTiles", identity=MACHINE, arguments={"batch": batch})
    assert request == {"payload": batch}
    assert runtime.response("Mutation.publishTiles", identity=MACHINE, result=batch) == batch


@pytest.mark.parametrize(
    ("field", "arguments"),
    [("Subscription.onTiles", BUILDING), ("Subscription.onAttention", {"attention": True})],
)
def test_subscribing_answers_nothing(
    runtime: Runtime, field: str, arguments: dict[str, Any]
) -> None:
    """The first data is the first push."""
    assert runtime.response(field, arguments=arguments) is None


def test_operators_subscribe_to_what_needs_attention_alone(runtime: Runtime) -> None:
    """The rest of the fleet's changes, a hundred times as many, is for nobody."""
    refusal = runtime.refusal(
        "Subscription.onAttention", arguments={"attention": False}, identity=OPERATOR
    )
    assert "must be true" in refusal


@pytest.mark.parametrize(("type_name", "field"), resolver_fields())
def test_assembled_code_imports_nothing_local(type_name: str, field: str) -> None:
    """AppSync refuses such a module; and names declared twice would, too."""
    code = resolver_code(type_name, field)
    imports = [line for line in code.splitlines() if line.startswith("import ")]
    assert imports == ["import { util } from '@aws-appsync/utils';"]
    assert code.count("export function request") == 1
    assert code.count("export function") == 2
