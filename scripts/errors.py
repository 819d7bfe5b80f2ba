"""Turns what went wrong into one line for people, and an exit status.

0  done, and nothing was lost or wrong
1  a verdict: something was lost, wrong or extra
2  the command could not do what was asked for
"""

from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

EXIT_DIFFERENT = 1
EXIT_UNUSABLE = 2

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})


class CommandError(Exception):
    """Raised by commands for a person at the terminal: what, which value, what to do."""


class ClearlyFailing(TyperGroup):
    """Prints the errors of our packages and of AWS's clients as one line, without a traceback.

    Anything else is a defect and keeps its traceback.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            message = explain(error)
            if message is None:
                raise
            typer.secho(f"error: {message}", err=True, fg=typer.colors.RED)
            raise typer.Exit(EXIT_UNUSABLE) from error


def explain(error: Exception) -> str | None:
    """Return the line to print, or None if this was not foreseen."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        EndpointConnectionError,
        NoCredentialsError,
    )

    from latency.errors import LatencyError
    from local.errors import LocalStackError
    from models.errors import ModelError
    from operations.errors import OperationsError
    from simulators.errors import SimulatorError

    line: str | None = None
    match error:
        case TyperException():
            line = with_value(error)
        case NoCredentialsError():
            line = "no AWS credentials found: set AWS_PROFILE or sign in (aws sso login)"
        case EndpointConnectionError():
            line = f"{error} (is the stack running? latchline up)"
        case ClientError() if code_of(error) in EXPIRED:
            line = f"the AWS credentials have expired ({code_of(error)}): sign in again"
        case (
            CommandError()
            | SimulatorError()
            | LocalStackError()
            | ModelError()
            | LatencyError()
            | OperationsError()
            | ClientError()
            | BotoCoreError()
        ):
            line = str(error)
    return line


def with_value(error: TyperException) -> str | None:
    """Return a usage error with the value that was given; Typer names the option alone.

    None for what is no mistake: a group without a command, which prints its help.
    """
    message = error.format_message()
    if "\n" in message:
        return None
    faults: list[Any] = getattr(error.__cause__, "errors", list)()
    given = f" (got {faults[0]['input']!r})" if faults else ""
    return f"{message}{given}"


def code_of(error: "ClientError") -> str:
    """Return AWS's own name for the refusal."""
    return str(error.response.get("Error", {}).get("Code", ""))
