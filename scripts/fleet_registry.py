"""`latchline fleet provision`, `deprovision` and `revoke`: lockers in IoT Core's registry."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

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


def revoke(
    thing: Annotated[str, typer.Argument(help="Of one locker: maple-court:l03.")],
    *,
    name: Name = "default",
    stage: Stage = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
) -> None:
    """Revoke a locker's certificates: stolen, or its key is known. Works while a fleet runs.

    Its tiles and history stay. `fleet provision` gives it a new certificate.
    """
    from pipeline.contract import Thing
    from scripts.deployment import find_target, keys_folder
    from scripts.errors import CommandError
    from simulators.provisioning import Provisioner

    try:
        locker = Thing.parse(thing)
    except ValueError as error:
        raise CommandError(str(error)) from None
    provisioner = Provisioner(find_target(name, stage), keys_folder(name, stage))
    if not yes:
        typer.confirm(f"Let {locker} never connect again with the certificate it has?", abort=True)
    count = provisioner.revoke(locker)
    if count == 0:
        raise CommandError(f"{locker} has no certificate: nothing is revoked")
    certificates = "1 certificate is" if count == 1 else f"{count} certificates are"
    typer.echo(f"{locker}: {certificates} revoked")


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
