"""`latchline info`: the hand-over to any other tool."""

import json

import typer

from scripts.deployment import aws_info, local_info
from scripts.options import AsJson, Name, Stage


def info(name: Name = "default", stage: Stage = None, *, as_json: AsJson = False) -> None:
    """Print endpoints, keys and queues of a deployment.

    With --json in the shape of docs/architecture.md, for any other tool. On AWS no keys are
    printed.
    """
    fields = local_info(name) if stage is None else aws_info(stage)
    if as_json:
        typer.echo(json.dumps(fields, indent=2))
        return
    for key, value in fields.items():
        if key == "people":
            continue
        if isinstance(value, dict):
            for inner, text in value.items():
                typer.echo(f"{f'{key}.{inner}':24}{'-' if text is None else text}")
        else:
            typer.echo(f"{key:24}{'-' if value is None else value}")
    for person in fields["people"]:
        typer.echo(f"{'sign in':24}{person['email']}  {person['password']}  ({person['group']})")
