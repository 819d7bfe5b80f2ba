"""How full the batches of a run really were: from the functions' own log lines.

Both functions write one structured line a batch (`pipeline.report`). Their log, saved to a file, is
what `latchline cost --measured` reads:

    aws logs tail /aws/lambda/latchline-dev-projector --since 1h --format short > run.log
    aws logs tail /aws/lambda/latchline-dev-fanout --since 1h --format short >> run.log

Or a JSON file with the same figures, put together by any other means (`Run`).
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models import design, workload
from models.errors import ModelError
from pipeline.outcomes import Outcome

Count = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Projector(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    batches: Count
    records: Count
    billed_ms: Count | None = None
    """Mean of an invocation."""


class Fanout(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    batches: Count
    records: Count
    """Stream records, before the newest of each item was kept."""
    items: Count
    publications: Count
    billed_ms: Count | None = None


class Run(BaseModel):
    """What a run did, added up.

    `pipe_batches`: receives of the Pipe, if known; otherwise it is taken to fill as well as the
    projector does, whose queue is fed at the same rate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    projector: Projector
    fanout: Fanout
    pipe_batches: Count | None = None

    def fills(self) -> workload.Fills:
        """Raise ModelError if the figures contradict each other."""
        batch = self.projector.records / self.projector.batches
        stream = self.fanout.records / self.fanout.batches
        pipe = batch if self.pipe_batches is None else self.projector.records / self.pipe_batches
        return workload.Fills(
            pipe=min(pipe, design.SQS_BATCH),
            projector=batch,
            stream=stream,
            coalescing=max(1.0, self.fanout.items / self.fanout.publications),
            projector_ms=self.projector.billed_ms or workload.projector_ms(batch),
            fanout_ms=self.fanout.billed_ms or workload.fanout_ms(stream),
        )


def read_run(path: Path) -> Run:
    """Read a run's figures as JSON, or a log with the functions' lines in it.

    Raises
    ------
    ModelError
        Naming the file and what is missing or wrong.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}") from error
    try:
        document = json.loads(text)
    except json.JSONDecodeError:
        return from_log(text.splitlines(), str(path))
    try:
        return Run.model_validate(document)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise ModelError(f"{path}: {where}: {fault['msg']}") from error


def from_log(lines: Iterable[str], name: str = "log") -> Run:
    """Add up the lines `projected` and `published`; anything else in the log is passed over."""
    projected: Counter[str] = Counter()
    published: Counter[str] = Counter()
    for line in lines:
        entry = _entry(line)
        if entry.get("message") == "projected":
            records = sum(int(entry.get(outcome.value, 0)) for outcome in Outcome)
            projected.update({"batches": 1, "records": records})
        elif entry.get("message") == "published" and int(entry.get("items", 0)):
            published.update(
                batches=1,
                **{k: int(entry.get(k, 0)) for k in ("records", "items", "publications")},
            )
    for found, line in ((projected, "projected"), (published, "published")):
        if not found["batches"]:
            raise ModelError(
                f"{name}: no line {line!r}: wanted is the log of both functions, or a JSON file"
                " (docs/cost.md)"
            )
    return Run(
        projector=Projector.model_validate(dict(projected)),
        fanout=Fanout.model_validate(dict(published)),
    )


def _entry(line: str) -> dict[str, Any]:
    """The JSON object in a line, whatever a log viewer has put before it."""
    start = line.find("{")
    if start < 0:
        return {}
    try:
        found = json.loads(line[start:])
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
