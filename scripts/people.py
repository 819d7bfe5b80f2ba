"""`latchline people`: who may see what on the dashboard, on a laptop stack or on AWS."""

from typing import Annotated

import typer

from scripts.options import Name, Stage

app = typer.Typer(no_args_is_help=True, help="Let people see buildings on the dashboard.")


@app.callback()
def people() -> None:
    """Let people see buildings on the dashboard."""


@app.command()
def add(
    email: Annotated[str, typer.Argument(help="Their mail address, with which they sign in.")],
    *,
    building: Annotated[
        list[str] | None,
        typer.Option(
            help="A building that they manage; may be given more than once. For an operator: what"
            " the page lists."
        ),
    ] = None,
    operator: Annotated[bool, typer.Option("--operator", help="They see every building.")] = False,
    name: Name = "default",
    stage: Stage = None,
) -> None:
    """Make somebody a manager of buildings, or an operator.

    On AWS Cognito mails them a temporary password. A laptop sends no mail, so the password is
    printed. Who is known already keeps theirs, and what they could see before.
    """
    from local.people import OPERATORS, add_person, building_group
    from scripts.deployment import aws_info, find_target, local_info
    from scripts.errors import CommandError

    if not (building or operator):
        raise CommandError("which buildings may they see? --building ID, or --operator for all")
    if "@" not in email:
        raise CommandError(f"{email!r} is no mail address")
    groups = [OPERATORS] if operator else []
    groups += [building_group(each) for each in building or ()]
    info = local_info(name) if stage is None else aws_info(stage)
    client = find_target(name, stage).client("cognito-idp")
    pool = info["cognito"]["user_pool_id"]
    for group in groups:
        new = add_person(client, pool, email, group, by_mail=stage is not None)
        if new is None:
            typer.echo(f"{email} is now in {group}")
        elif new.password is None:
            typer.echo(f"{email} is now in {group}; Cognito has mailed a temporary password")
        else:
            typer.echo(f"{email} is now in {group}; password: {new.password}")
