"""The data files: prices, published latencies and quotas, each row with where it is from."""

import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import ModelError

Text = Annotated[str, Field(min_length=1)]
T = TypeVar("T", bound=BaseModel)


class _Figure(BaseModel):
    """A number and its origin: no row without a source and a date."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Annotated[str, Field(pattern=r"^(https://\S+|(models|infra)/\S+)$")]
    """A URL, or the file of ours that sets or assumes it."""
    date: date
    note: str = ""


class Price(_Figure):
    """US dollars for `per` units."""

    service: Text
    usd: Annotated[float, Field(ge=0)]
    per: Annotated[float, Field(gt=0)]
    unit: Text
    confidence: Literal["documented", "third-party", "unverified"]

    @property
    def each(self) -> float:
        return self.usd / self.per


class Hop(_Figure):
    """Milliseconds by percentile, as published."""

    title: Text
    percentiles: Annotated[dict[str, Annotated[float, Field(gt=0)]], Field(min_length=2)]
    confidence: Literal["measured", "reported", "assumed"]


class Stages(BaseModel):
    """The hops between each two timestamps that travel with a tile (`latency.journey.Hop`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uplink: tuple[str, ...]
    route: tuple[str, ...] = ()
    project: tuple[str, ...]
    stream: tuple[str, ...] = ()
    push: tuple[str, ...]


class Route(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Text
    stages: Stages
    note: str = ""

    def way(self) -> list[tuple[str, str]]:
        """Stage and hop, one after the other."""
        return [(stage, hop) for stage, hops in self.stages for hop in hops]


class Quota(_Figure):
    title: Text
    value: Annotated[float, Field(gt=0)]
    unit: Text
    adjustable: bool
    confidence: Literal["documented", "third-party", "unverified", "ours"]


@cache
def prices() -> Mapping[str, Price]:
    return _rows("prices.toml", "prices", Price)


@cache
def hops() -> Mapping[str, Hop]:
    return _rows("hops.toml", "hops", Hop)


@cache
def routes() -> Mapping[str, Route]:
    """Raise ModelError if a route names a hop that has no figure."""
    found = _rows("hops.toml", "routes", Route)
    for name, route in found.items():
        missing = [hop for _, hop in route.way() if hop not in hops()]
        if missing:
            raise ModelError(f"hops.toml: route {name} names {missing[0]}, which has no figure")
    return found


@cache
def quotas() -> Mapping[str, Quota]:
    return _rows("quotas.toml", "quotas", Quota)


@cache
def price_region() -> str:
    return str(_file("prices.toml")["region"])


@cache
def _file(name: str) -> dict[str, Any]:
    text = resources.files("models").joinpath(name).read_text(encoding="utf-8")
    return tomllib.loads(text)


def _rows(file: str, section: str, shape: type[T]) -> dict[str, T]:
    rows = {}
    for name, fields in _file(file)[section].items():
        try:
            rows[name] = shape.model_validate(fields)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(str(part) for part in fault["loc"])
            raise ModelError(f"{file}: {section}.{name}.{where}: {fault['msg']}") from error
    return rows
