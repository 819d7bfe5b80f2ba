"""Alarms as the template defines them, evaluated as CloudWatch evaluates them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from local.synth import synthesize
from tests.support.templates import Assembly

STATISTICS = {"Sum": math.fsum, "Maximum": max}


@dataclass(frozen=True)
class Alarm:
    """`properties`: those of the AWS::CloudWatch::Alarm."""

    properties: dict[str, Any]

    def raised(self, periods: Sequence[Sequence[float]]) -> bool:
        """Whether the samples of consecutive periods, the newest last, raise it.

        AWS: `DatapointsToAlarm` of the last `EvaluationPeriods`; a period without a sample is not
        breaching.
        """
        assert self.properties["ComparisonOperator"] == "GreaterThanThreshold"
        assert self.properties["TreatMissingData"] == "notBreaching"
        figure = STATISTICS[self.properties["Statistic"]]
        newest = periods[-self.properties["EvaluationPeriods"] :]
        breaching = [
            period for period in newest if period and figure(period) > self.properties["Threshold"]
        ]
        return len(breaching) >= self.properties["DatapointsToAlarm"]

    @property
    def period_s(self) -> int:
        return int(self.properties["Period"])


def alarm(name: str) -> Alarm:
    """The alarm of the templates that a laptop stack deploys, `name` without project and stage."""
    templates = Assembly("dev", "bus", synthesize("bus"))
    (found,) = (
        each
        for each in templates.resources("AWS::CloudWatch::Alarm")
        if each.properties["AlarmName"] == f"latchline-dev-{name}"
    )
    return Alarm(found.properties)
