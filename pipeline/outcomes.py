"""How a record ends, and the one place that says what follows from it.

outcome     history  tile     metric         answer to Lambda
applied     written  written  Applied        done
duplicate   written  as is    Duplicate      done
stale       written  newer    Stale          done
regressed   written  newer    BootRegressed  done, and a person must look (merge.boot_regressed)
poison      –        –        Quarantined    done, once it is parked in quarantine
retryable   maybe    maybe    Retried        failed: comes again, at last as a dead letter
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

from pipeline.errors import Poison
from pipeline.metrics import Metric


class Outcome(StrEnum):
    APPLIED = "applied"
    DUPLICATE = "duplicate"
    STALE = "stale"
    REGRESSED = "regressed"
    POISON = "poison"
    RETRYABLE = "retryable"


METRIC = {
    Outcome.APPLIED: Metric.APPLIED,
    Outcome.DUPLICATE: Metric.DUPLICATE,
    Outcome.STALE: Metric.STALE,
    Outcome.REGRESSED: Metric.BOOT_REGRESSED,
    Outcome.POISON: Metric.QUARANTINED,
    Outcome.RETRYABLE: Metric.RETRIED,
}


@dataclass(frozen=True, slots=True)
class Result:
    """How one record ended.

    `error` says why for poison (a `Poison`) and retryable, `held_boot` is the tile's for regressed.
    """

    outcome: Outcome
    error: BaseException | None = None
    held_boot: int | None = None

    @classmethod
    def of(cls, error: BaseException) -> "Result":
        """Poison is poison; all else that was raised is tried again."""
        return cls(Outcome.POISON if isinstance(error, Poison) else Outcome.RETRYABLE, error)


class BatchItemFailure(TypedDict):
    itemIdentifier: str


class BatchResponse(TypedDict):
    """AWS: an answer without failures, even an empty one, means that the whole batch is done."""

    batchItemFailures: list[BatchItemFailure]


def batch_response(identifiers: Sequence[str]) -> BatchResponse:
    return {"batchItemFailures": [{"itemIdentifier": each} for each in identifiers]}


def failed_records(results: Sequence[tuple[str, Result]]) -> BatchResponse:
    """What Lambda is told of a batch: exactly the retryable records come again."""
    return batch_response(
        [identifier for identifier, result in results if result.outcome is Outcome.RETRYABLE]
    )
