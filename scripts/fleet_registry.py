"""`latchline fleet provision` and `deprovision`: lockers in IoT Core's registry, and out of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from scripts.fleet_options import Buildings, Lockers, Scenario, plan_of
from scripts.options import Name, Stage

if TYPE_CHECKING:
    from simulators.provisioning import Provisioner


def provision(
    *,
    scenario: Scenario = None,
    lockers: Lockers = None,
    buildings: Buildings = None,
    name: Name = "default",
    stage: Stage = None,
) -> None:
    """Register things with P-256 certificates; what is there already is used again.

    A run does this by itself. Interrupted, it goes on where it was.
    """
    plan = plan_of(scenario, lockers=lockers, buildings=buildings)
    with _alone(name, stage) as provisioner, _bar("provisioning", plan.lockers) as progress:
        provisioner.provision(plan.things, progress)
    typer.echo(f"{plan.lockers} lockers in {plan.buildings} buildings can connect")


def deprovision(*, name: Name = "default", stage: Stage = None) -> None:
    """Take every locker of the stack away: certificates deactivated and deleted, things, keys.

    Interrupted, it goes on with what is left.
    """
    with _alone(name, stage) as provisioner:
        things = provisioner.kept()
        with _bar("deprovisioning", len(things)) as progress:
            provisioner.deprovision(things, progress)
    typer.echo(f"{len(things)} lockers removed")


@contextmanager
def _alone(name: str, stage: str | None) -> "Iterator[Provisioner]":
    """Hold the lockers' identities meanwhile, as a fleet that runs does."""
    from scripts.deployment import find_target, keys_folder, things_per_s
    from simulators.provisioning import Provisioner
    from simulators.session import only_fleet_on

    keys = keys_folder(name, stage)
    target = find_target(name, stage)
    with only_fleet_on(keys):
        yield Provisioner(target, keys, per_s=things_per_s(stage))


@contextmanager
def _bar(verb: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar; nothing when not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    with Progress(
        f"{verb} lockers",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(verb, total=total)
        yield lambda done, _: progress.update(task, completed=done)
