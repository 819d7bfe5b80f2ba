"""What a connection costs: the fleet, a paho-mqtt script and Locust, in one run.

    make bench-connections LOCKERS=300
    python -m benchmarks.connections --lockers 5000 --clients latchline

Starts a laptop stack, registers the lockers, and has each client program connect them over mTLS and
publish in a closed loop. Memory is the resident set with all connections held, less that before the
first; the processor's time is the client's alone. The broker is the same for all and the bottleneck
of events/s, so what a client needs for an event says more about it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Annotated, Any

import psutil
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.laptop import laptop
from benchmarks.task import Locker, Task
from pipeline.contract import Thing
from simulators.provisioning import Provisioner
from simulators.target import Target

ROOT = Path(__file__).resolve().parents[1]
OTHERS = ROOT / "build" / "bench-venv" / "bin" / "python"
"""Interpreter with the alternatives (`make bench-connections` makes it)."""
SETTLE_S = 3.0
CLIENTS = {
    "latchline": (Path(sys.executable), "benchmarks.clients.latchline"),
    "paho": (OTHERS, "benchmarks.clients.paho"),
    "locust": (OTHERS, "benchmarks.clients.locust_mqtt"),
}
MIB = 1024**2


@dataclass(frozen=True)
class Measured:
    """One client's row. Times in seconds, memory in MiB."""

    client: str
    connected: int
    connect_s: float
    mib_per_connection: float
    events_per_s: float
    cpu_ms_per_event: float


def main(
    *,
    lockers: Annotated[int, typer.Option(min=1, help="Connections that each client holds.")] = 300,
    clients: Annotated[
        str, typer.Option(help="Which, by name, separated by commas: " + ", ".join(CLIENTS))
    ] = ",".join(CLIENTS),
    connect_rate: Annotated[float, typer.Option(min=1.0, help="Connections per second.")] = 50.0,
    publishers: Annotated[int, typer.Option(min=1, help="Lockers that publish at a time.")] = 50,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long they publish.")] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare what a held connection and a published event cost the client."""
    names = clients.split(",")
    for name in names:
        if name not in CLIENTS:
            raise typer.BadParameter(f"no client {name!r}: choose from {', '.join(CLIENTS)}")
    console = Console(stderr=True)
    with laptop("bench", console.print) as running:
        target = Target.from_info(running.info.model_dump(mode="json"))
        task = Task(
            host=target.iot.endpoint,
            port=target.iot.port,
            ca=str(target.iot.ca_file),
            rule=target.door_rule,
            lockers=_provision(target, running.folder / "keys", lockers, console),
            per_s=connect_rate,
            publishers=publishers,
            seconds=seconds,
        )
        measured = [_measure(name, task, console) for name in names]
    if as_json:
        print(json.dumps([asdict(each) for each in measured], indent=2))
    else:
        Console().print(_table(measured))


def _provision(target: Target, keys: Path, count: int, console: Console) -> list[Locker]:
    things = [Thing(f"bench-{index // 100:03d}", f"l{index % 100:02d}") for index in range(count)]
    with Progress(console=console) as progress:
        bar = progress.add_task("provisioning", total=count)
        credentials = Provisioner(target, keys).provision(
            things, lambda done, _: progress.update(bar, completed=done)
        )
    return [
        Locker(str(each.thing), str(each.key_file), str(each.certificate_file))
        for each in credentials
    ]


def _measure(name: str, task: Task, console: Console) -> Measured:
    python, module = CLIENTS[name]
    lockers = len(task.lockers)
    with (
        tempfile.NamedTemporaryFile("w", suffix=".json") as file,
        subprocess.Popen(
            [str(python), "-m", module, task.save(Path(file.name))],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as child,
    ):
        assert child.stdin is not None
        assert child.stdout is not None
        process = psutil.Process(child.pid)
        _read(child.stdout)
        before = process.memory_info().rss
        console.print(f"{name}: connecting {lockers}")
        connected = _ask(child.stdin, child.stdout, "connect")
        time.sleep(SETTLE_S)
        held = process.memory_info().rss - before
        console.print(f"{name}: {connected['connected']} of {lockers} connected; publishing")
        cpu = _cpu(process)
        published = _ask(child.stdin, child.stdout, "publish")
        cpu = _cpu(process) - cpu
        child.stdin.close()
    return Measured(
        client=name,
        connected=connected["connected"],
        connect_s=connected["seconds"],
        mib_per_connection=held / MIB / max(1, connected["connected"]),
        events_per_s=published["acknowledged"] / published["seconds"],
        cpu_ms_per_event=cpu * 1000 / max(1, published["acknowledged"]),
    )


def _ask(stdin: IO[str], stdout: IO[str], command: str) -> dict[str, Any]:
    stdin.write(command + "\n")
    stdin.flush()
    return _read(stdout)


def _read(stdout: IO[str]) -> dict[str, Any]:
    line = stdout.readline()
    if not line:
        raise SystemExit("the client ended: see its message above")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _table(rows: list[Measured]) -> Table:
    table = Table()
    for column in ("client", "connected", "s", "MiB each", "events/s", "CPU ms an event"):
        table.add_column(column, justify="left" if column == "client" else "right")
    for row in rows:
        table.add_row(
            row.client,
            str(row.connected),
            f"{row.connect_s:.1f}",
            f"{row.mib_per_connection:.3f}",
            f"{row.events_per_s:.0f}",
            f"{row.cpu_ms_per_event:.2f}",
        )
    return table


if __name__ == "__main__":
    typer.run(main)
