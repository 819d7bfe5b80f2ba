"""What a dashboard saw: tiles merged by version, and the record of every arrival.

The merge here is the one the pipeline makes: the tile of a door is the event with the highest
version, so a push that comes late or twice, or a snapshot older than a push, changes nothing.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pipeline.contract import Kind, Thing, TileStatus, parse_version
from pipeline.merge import locker_online
from simulators.errors import GroundTruthError
from simulators.ground_truth import first_fault, read_lines

FORMAT = 1
Place = tuple[Thing, str]


class Via(StrEnum):
    PUSH = "push"
    SNAPSHOT = "snapshot"


class SeenTile(BaseModel):
    """A tile as GraphQL has it (`infra/schema.graphql`, type Tile). Times in epoch milliseconds."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    building: str = Field(alias="buildingId")
    locker: str = Field(alias="lockerId")
    door: str = Field(alias="doorId")
    version: Annotated[str, Field(pattern=r"^\d{20}$")]
    kind: Kind
    status: TileStatus
    open: bool
    occupied: bool
    fault: str | None = None
    at: str
    received_at: int = Field(alias="receivedAt")
    queued_at: int | None = Field(default=None, alias="queuedAt")
    projected_at: int = Field(alias="projectedAt")
    trace: str | None = None

    @property
    def thing(self) -> Thing:
        return Thing(self.building, self.locker)

    @property
    def place(self) -> Place:
        return self.thing, self.door

    @property
    def order(self) -> int:
        return parse_version(self.version)


class SeenLocker(BaseModel):
    """Presence of a locker (type Locker); `revision` grows with every change."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    building: str = Field(alias="buildingId")
    locker: str = Field(alias="lockerId")
    connected: bool
    since: int
    reason: str | None = None
    revision: int
    received_at: int = Field(alias="receivedAt")
    projected_at: int = Field(alias="projectedAt")

    @property
    def thing(self) -> Thing:
        return Thing(self.building, self.locker)


@dataclass(slots=True)
class Picture:
    """The dashboard's state; `put` says whether it changed anything."""

    tiles: dict[Place, SeenTile] = field(default_factory=dict)
    lockers: dict[Thing, SeenLocker] = field(default_factory=dict)
    heard_at: dict[Thing, int] = field(default_factory=dict)
    """When the latest event of any of a locker's doors was received, epoch milliseconds."""
    unwatched: set[Place] = field(default_factory=set)
    """Doors whose last event was still on its way when the viewer was told to leave."""

    def put(self, tile: SeenTile) -> bool:
        known = self.tiles.get(tile.place)
        # Versions are padded to one length, so text order is numeric order. Of equal ones the
        # earliest received counts: a redelivery has the same content.
        if known is not None and (known.version, -known.received_at) >= (
            tile.version,
            -tile.received_at,
        ):
            return False
        self.tiles[tile.place] = tile
        self.heard_at[tile.thing] = max(tile.received_at, self.heard_at.get(tile.thing, 0))
        return known is None or known.version != tile.version

    def put_locker(self, locker: SeenLocker) -> bool:
        known = self.lockers.get(locker.thing)
        if known is not None and known.revision >= locker.revision:
            return False
        self.lockers[locker.thing] = locker
        return True

    def is_online(self, thing: Thing) -> bool:
        """Tell whether the locker lives: by its presence, or because a door spoke since."""
        presence = self.lockers.get(thing)
        return presence is None or locker_online(
            connected=presence.connected,
            since=presence.since,
            last_received_at=self.heard_at.get(thing),
        )


@dataclass(frozen=True, slots=True)
class ViewerRun:
    """Header of a recorded subscription."""

    started_at_ms: int
    buildings: tuple[str, ...]
    record: str = "viewer"
    format: int = FORMAT


class ObservationWriter:
    """JSON Lines: a header, then one line per tile or locker that arrived, as it arrived."""

    def __init__(self, file: IO[str], run: ViewerRun) -> None:
        self._file = file
        self._write(asdict(run))

    def tile(
        self,
        arrived_at_ms: int,
        via: Via,
        tile: Mapping[str, Any],
        published_at_ms: int | None = None,
    ) -> None:
        """Write down an arrival; `published_at_ms` is the fan-out's clock, of a push alone."""
        line = {"record": "tile", "via": via, "arrived_at_ms": arrived_at_ms, "tile": tile}
        if published_at_ms is not None:
            line["published_at_ms"] = published_at_ms
        self._write(line)

    def locker(self, arrived_at_ms: int, via: Via, locker: Mapping[str, Any]) -> None:
        self._write(
            {"record": "locker", "via": via, "arrived_at_ms": arrived_at_ms, "locker": locker}
        )

    def connection(self, at_ms: int, *, up: bool, reason: str | None = None) -> None:
        self._write({"record": "connection", "at_ms": at_ms, "up": up, "reason": reason})

    def left(self, doors: Iterable[Place]) -> None:
        """Write down at whose doors the viewer can't have seen the end: it was told to leave."""
        named = [[str(thing), door] for thing, door in sorted(doors)]
        self._write({"record": "left", "doors": named})

    def flush(self) -> None:
        self._file.flush()

    def _write(self, fields: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(fields, separators=(",", ":")) + "\n")


class _Header(BaseModel):
    record: Literal["viewer"]
    format: Literal[1]
    buildings: tuple[str, ...]


class TileArrival(BaseModel):
    """One arrival of a tile. Times in epoch ms, by the viewer's clock and the fan-out's."""

    record: Literal["tile"]
    via: Via
    arrived_at_ms: int
    published_at_ms: int | None = None
    tile: SeenTile


class _LockerLine(BaseModel):
    record: Literal["locker"]
    via: Via
    arrived_at_ms: int
    locker: SeenLocker


class _ConnectionLine(BaseModel):
    record: Literal["connection"]
    at_ms: int
    up: bool


class _LeftLine(BaseModel):
    record: Literal["left"]
    doors: list[tuple[str, str]]


_Line = _Header | TileArrival | _LockerLine | _ConnectionLine | _LeftLine
_LINE: TypeAdapter[_Line] = TypeAdapter(Annotated[_Line, Field(discriminator="record")])


def read_observation(path: Path) -> Picture:
    """Return the last picture of a recorded subscription; raise as `read_arrivals` does."""
    picture = Picture()
    for record in _records(path):
        if isinstance(record, TileArrival):
            picture.put(record.tile)
        elif isinstance(record, _LockerLine):
            picture.put_locker(record.locker)
        elif isinstance(record, _LeftLine):
            picture.unwatched.update((Thing.parse(thing), door) for thing, door in record.doors)
    return picture


def read_arrivals(path: Path) -> Iterator[TileArrival]:
    """Yield every arrival of a tile, pushed or in a snapshot, in the order of arriving.

    Raises
    ------
    GroundTruthError
        Naming file and line.
    """
    return (record for record in _records(path) if isinstance(record, TileArrival))


def _records(path: Path) -> Iterator[_Line]:
    begun = False
    for number, line in read_lines(path):
        try:
            record = _LINE.validate_json(line)
        except ValidationError as error:
            raise GroundTruthError(f"{path}:{number}: {first_fault(error)}") from error
        if begun is isinstance(record, _Header):
            raise GroundTruthError(f"{path}:{number}: a viewer header belongs on the first line")
        begun = True
        yield record
    if not begun:
        raise GroundTruthError(f"{path}:1: empty file, no subscription was recorded")
