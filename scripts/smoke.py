"""`latchline smoke`: one event through every hop of a deployment, as proof that it works."""

import asyncio
from typing import Any

import typer

from scripts.errors import EXIT_DIFFERENT
from scripts.options import Name, Stage


def smoke(*, name: Name = "default", stage: Stage = None) -> None:
    """Publish one door event and wait until a subscriber has its tile.

    A building of its own (`readiness`), whose rows are deleted again. Exit status 1 if the event
    does not come out within 45 s; the message says in which queue it waits.
    """
    from functools import cache

    from local.errors import NotReadyError
    from local.info import StackInfo
    from local.readiness import Access, wait_until_ready
    from scripts.deployment import aws_info, find_target, local_info

    target = find_target(name, stage)
    info = StackInfo.model_validate(local_info(name) if stage is None else aws_info(stage))

    @cache
    def client(service: str) -> Any:
        return target.client(service)

    credentials: Any = target.session.get_credentials()
    try:
        took = asyncio.run(wait_until_ready(Access(client, credentials), info, target.door_rule))
    except NotReadyError as error:
        typer.secho(f"NOT ok: {error}", err=True, fg=typer.colors.RED)
        raise typer.Exit(EXIT_DIFFERENT) from error
    typer.echo(f"ok: one event from the broker to a subscriber in {took:.0f} ms")
