"""Options of `latchline dlq`, and what they mean."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from operations.letters import Queue
    from operations.selection import Selection

NAMES = "iot_errors, ingest_dlq, bus_dlq, projector_dlq, quarantine, fanout_dlq"
Queues = Annotated[
    list[str] | None,
    typer.Argument(metavar="[QUEUE]...", help=f"Which queues. Default: all of {NAMES}."),
]
Reasons = Annotated[
    list[str] | None,
    typer.Option("--reason", help="Only with this reason, as dlq ls shows it. May be repeated."),
]
Things = Annotated[
    list[str] | None,
    typer.Option("--thing", help="Only of this locker, <building>:<locker>. May be repeated."),
]
InBuildings = Annotated[
    list[str] | None,
    typer.Option("--building", help="Only of this building. May be repeated."),
]
OlderThan = Annotated[
    str | None, typer.Option(metavar="AGE", help="Only if sent so long ago: 90s, 15m, 2h, 3d.")
]
NewerThan = Annotated[
    str | None, typer.Option(metavar="AGE", help="Only if sent since: 90s, 15m, 2h, 3d.")
]


def queues_of(names: list[str] | None) -> "list[Queue]":
    """Those named, each once, or all."""
    from operations.letters import Queue
    from operations.selection import parse_queue

    return list(dict.fromkeys(map(parse_queue, names))) if names else list(Queue)


def selection_of(
    *,
    reasons: list[str] | None,
    things: list[str] | None,
    buildings: list[str] | None,
    older_than: str | None,
    newer_than: str | None,
) -> "Selection":
    from operations.selection import Selection, parse_age, parse_building, parse_thing

    return Selection(
        reasons=frozenset(reasons or ()),
        things=frozenset(map(parse_thing, things or ())),
        buildings=frozenset(map(parse_building, buildings or ())),
        older_than_s=None if older_than is None else parse_age(older_than),
        newer_than_s=None if newer_than is None else parse_age(newer_than),
    )
