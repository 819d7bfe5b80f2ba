"""Options that more than one command has, so that they read the same everywhere."""

from typing import Annotated

import typer

Name = Annotated[
    str, typer.Option(help="The laptop stack; several can run side by side.", metavar="NAME")
]
Stage = Annotated[
    str | None,
    typer.Option(
        help="An AWS deployment instead of the laptop stack: its stage, in the account and region"
        " of the AWS credentials at hand.",
        metavar="STAGE",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
ReadUnits = Annotated[
    float,
    typer.Option(
        min=1,
        help="Read capacity units a second that it may take of the table; one is ten events.",
    ),
]

Lockers = Annotated[int, typer.Option(min=1, help="Lockers, one MQTT connection each.")]
Buildings = Annotated[int, typer.Option(min=1, help="Buildings the lockers are spread over.")]
Doors = Annotated[int, typer.Option(min=1, max=99, help="Doors per locker.")]
Rate = Annotated[float, typer.Option(help="Target of door events per second, over all doors.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same traffic.")]
