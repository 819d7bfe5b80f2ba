"""`make soak`: rounds of traffic under faults until enough events have been through.

Each round has a laptop stack of its own, so memory is bounded by a round; ground truth is on disk,
and is removed once its round is found to be right.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import asyncio
import resource
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from local import stack
from local.faults.switch import FaultSwitch
from local.state import state_dir, state_root
from simulators.fleet import FleetPlan
from simulators.target import Target
from tests.chaos.campaign import Campaign, Result
from tests.chaos.report import PART, Totals, table
from tests.chaos.weather import storm
from tests.support.cli_stack import latchline

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
COMMAND_S = 900.0
SHOWN = 20
"""Complaints of a round that are printed; all of them are in its folder."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if nothing was lost or wrong, 1 if anything was, 130 if it was interrupted."""
    options = _parse(arguments)
    if options.write_docs:
        PART.check(DOCUMENT)
    totals = Totals()
    status = 0
    try:
        _run(options, totals)
    except KeyboardInterrupt:
        print("interrupted; this is what the complete rounds came to")
        status = 130
    print(f"\n{table(totals)}\n\n{totals.verdict()}")
    if totals.complaints or not totals.rounds:
        return status or 1
    if options.write_docs and not status:
        PART.write_into(DOCUMENT, _documented(options, totals))
        print(f"written into {DOCUMENT}")
    return status


def _run(options: argparse.Namespace, totals: Totals) -> None:
    folder = state_root() / f"soak-{options.name}"
    shutil.rmtree(folder, ignore_errors=True)
    while totals.events < options.events:
        number = totals.rounds + 1
        kept = folder / f"round-{number:03d}"
        kept.mkdir(parents=True)
        wanted = min(options.round, options.events - totals.events)
        try:
            result = _round(options, number, wanted, kept)
        except Exception as error:  # noqa: BLE001  (the table of the rounds before is worth having)
            (kept / "defect.txt").write_text(traceback.format_exc())
            totals.complaints.append(f"round {number}: {type(error).__name__}: {error}")
            print(f"round {number} could not be finished: {error!r}; see {kept}")
            return
        totals.add(result)
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(
            f"round {number}: {'ok' if result.ok else 'FAILED'}, {result.events} events in "
            f"{result.took_s:.0f} s, {sum(result.report.injected.values())} faults in the stack, "
            f"backlog up to {result.backlog_max}, at worst {result.slowest:.1f} times slower; "
            f"{totals.events} of {options.events} events, {totals.faults} faults so far, "
            f"peak memory {peak_mib} MiB",
            flush=True,
        )
        if result.ok:
            shutil.rmtree(kept)
        else:
            (kept / "complaints.txt").write_text("\n".join(result.complaints) + "\n")
            for complaint in result.complaints[:SHOWN]:
                print(f"  {complaint}")
            print(f"  see {kept}")


def _round(options: argparse.Namespace, number: int, events: int, folder: Path) -> Result:
    def say(text: str) -> None:
        print(f"  {datetime.now(UTC):%H:%M:%S} round {number}  {text}", flush=True)

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        home = state_root().parent
        return latchline(*arguments, "--name", options.name, home=home, timeout_s=COMMAND_S)

    running = stack.start(options.name, detach=False, faults=True, on_progress=lambda _: None)
    try:
        weather = storm(options.intensity)
        plan = FleetPlan(
            lockers=options.lockers,
            buildings=options.buildings,
            doors=4,
            rate=options.rate,
            duration_s=max(1.0, events / options.rate),
            seed=options.seed + number - 1,
            faults=weather.fleet,
        )
        target = Target.from_info(running.info.model_dump(mode="json"))
        switch = FaultSwitch(state_dir(options.name).faults)
        campaign = Campaign(target, switch, plan, weather, command=command, folder=folder, say=say)
        result = asyncio.run(campaign.run())
        if not result.ok:
            shutil.copytree(running.log, folder / "log")
        return result
    finally:
        running.stop()


def _documented(options: argparse.Namespace, totals: Totals) -> str:
    today = datetime.fromtimestamp(time.time(), UTC)
    command = f"make soak EVENTS={options.events} SEED={options.seed} RATE={options.rate:g}"
    if options.intensity != 1:
        command += f" INTENSITY={options.intensity:g}"
    return f"`{command}`, {today:%-d %B %Y}: {totals.verdict()}.\n\n{table(totals)}"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--events", type=_positive(int), default=5_000, help="how many in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--rate",
        type=_positive(float),
        default=60.0,
        help="events per second, if the stack can take it",
    )
    parser.add_argument(
        "--intensity", type=_positive(float), default=1.0, help="multiplies all chances of faults"
    )
    parser.add_argument("--round", type=_positive(int), default=10_000, help="events of a round")
    parser.add_argument("--lockers", type=_positive(int), default=60)
    parser.add_argument("--buildings", type=_positive(int), default=6)
    parser.add_argument("--name", default="soak", help="of the laptop stack")
    parser.add_argument(
        "--write-docs", action="store_true", help=f"write the table into {DOCUMENT.name}"
    )
    return parser.parse_args(arguments)


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = kind(text)
        if value <= 0:
            raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
        return value

    return parse


if __name__ == "__main__":
    sys.exit(main())
