"""`latchline up`: the whole path on this machine."""

import time
from typing import Annotated, Literal

import typer

from scripts.options import Name

WATCH_S = 1.0


def up(
    name: Name = "default",
    *,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once it is ready; `down` stops it.")
    ] = False,
    route: Annotated[
        Literal["bus", "direct"],
        typer.Option(help="From the IoT rule over the event bus, or straight to the projector."),
    ] = "bus",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="AWS endpoint; a free port by default.")
    ] = None,
    mqtt_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="MQTT over mTLS; free by default.")
    ] = None,
    graphql_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="GraphQL and realtime; free by default.")
    ] = None,
    dashboard_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The dashboard; free by default.")
    ] = None,
    faults: Annotated[
        bool,
        typer.Option("--faults", help="Let tests inject faults (docs/reliability.md)."),
    ] = False,
) -> None:
    """Start the laptop stack: the templates that go to AWS, deployed into MiniStack.

    Ready means that an event has made the whole trip. Without --detach it runs until Ctrl-C.
    """
    from local import stack
    from scripts.sign_in import dashboard_lines

    ports = stack.Ports(
        gateway=port, mqtt=mqtt_port, realtime=graphql_port, dashboard=dashboard_port
    )
    started = time.monotonic()
    running = stack.start(
        name, detach=detach, ports=ports, route=route, faults=faults, on_progress=typer.echo
    )
    info = running.info
    typer.echo(f"ready in {time.monotonic() - started:.1f} s")
    typer.echo(f"  AWS endpoint  {info.endpoint_url}")
    typer.echo(f"  MQTT (mTLS)   {info.iot.endpoint}:{info.iot.port}")
    typer.echo(f"  GraphQL       {info.graphql.http}")
    typer.echo(f"  realtime      {info.graphql.realtime}")
    for line in dashboard_lines(info.model_dump(mode="json")):
        typer.echo(f"  {line}")
    suffix = "" if name == "default" else f" --name {name}"
    typer.echo(f"next: latchline fleet run{suffix} · latchline info --json{suffix}")
    if detach:
        typer.echo(f"stop it with: latchline down{suffix}")
        return
    typer.echo("Ctrl-C stops it")
    try:
        while True:
            time.sleep(WATCH_S)
            stack.load(name)  # raises if the stack has ended on its own
    except KeyboardInterrupt:
        typer.echo("stopping")
    finally:
        running.stop()
