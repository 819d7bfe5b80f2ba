"""How a test turns faults on and off in a running stack, and reads what happened."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from local.errors import LocalStackError
from local.faults.plan import PLAN, Plan, Report, read_plan, read_report, write

OBEYED_S = 15.0
_POLL_S = 0.05


class FaultSwitch:
    """Of one stack, by the folder that `StateDir.faults` names.

    Raises
    ------
    LocalStackError
        The stack was started without `--faults`.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise LocalStackError(
                f"no faults can be injected: start the stack with --faults ({folder})"
            )
        self._folder = folder

    def set(self, **changes: Any) -> Plan:
        """Change the plan; return once the stack follows it (blocking).

        Raises
        ------
        LocalStackError
            It does not follow it in time, or the plan is none.
        """
        before = read_plan(self._folder)
        plan = Plan.model_validate(
            {**before.model_dump(), **changes, "generation": before.generation + 1}
        )
        write(self._folder / PLAN, plan)
        deadline = time.monotonic() + OBEYED_S
        while self.report().generation != plan.generation:
            if time.monotonic() > deadline:
                raise LocalStackError(f"the stack does not follow {self._folder / PLAN}")
            time.sleep(_POLL_S)
        return plan

    def off(self, **changes: Any) -> Plan:
        """No faults from now on; those that are under way go on to their end."""
        return self.set(rules={}, down=frozenset(), **changes)

    def restart(self) -> Plan:
        """Start the gateway, the stream mapping and all function processes anew."""
        return self.set(restarts=read_plan(self._folder).restarts + 1)

    def report(self) -> Report:
        return read_report(self._folder)
