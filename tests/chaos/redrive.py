"""Dead letters by the thousand, redriven at a rate; and again, interrupted at random moments.

    python -m tests.chaos.redrive --letters 10000 --rate 200 --interruptions 20

starts a laptop stack of its own, fills `projector-dlq` with valid envelopes and runs `latchline dlq
redrive` as a person would: once to its end, and once with SIGINT again and again, for every fourth
one a SIGKILL more. Then every version has to be in history, and the queue has to be empty.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.contract import Kind, Thing, version_of
from simulators.queues import queue_depths
from simulators.table import read_history
from simulators.target import Target
from tests.support.cli_stack import COMMAND, ROOT, CliStack, cli_stack, environment
from tests.support.lambda_events import door_envelope, payload
from tests.support.wait import wait_for

QUEUE = "projector_dlq"
BATCH = 10
LOCKERS = 50
DOORS = 4
KILL_EVERY = 4
AT_ONCE_S = 4.0
"""One interruption of four comes within so long: before, while or just after the canary goes."""
PATIENCE_S = 1_800.0
TOLERANCE = 0.05
AGAIN = 10
"""Runs without an interruption that it may take in the end; one should do."""


@dataclass
class Outcome:
    """What came of one filling of the queue. `exits`: status of each run, in order."""

    letters: int
    in_history: int = 0
    left: int = 0
    rate: float | None = None
    took_s: float = 0.0
    interruptions: Counter[str] = field(default_factory=Counter)
    exits: list[int] = field(default_factory=list)

    @property
    def lost(self) -> int:
        return self.letters - self.in_history - self.left

    @property
    def ok(self) -> bool:
        """All in history, none in the queue, and the last run has said so."""
        return self.in_history == self.letters and not self.left and self.exits[-1] == 0

    def __str__(self) -> str:
        stops = ", ".join(f"{count} {name}" for name, count in self.interruptions.items()) or "none"
        rate = "" if self.rate is None else f", {self.rate:.1f} letters/s"
        return (
            f"{'ok' if self.ok else 'FAILED'}: {self.in_history} of {self.letters} in history, "
            f"{self.left} left in the queue, {self.lost} lost; interruptions: {stops}; "
            f"{len(self.exits)} runs, last exit status {self.exits[-1]}; {self.took_s:.0f} s{rate}"
        )


class Redriving:
    """One queue, filled and redriven on a running stack."""

    def __init__(
        self, stack: CliStack, *, rate: float, seed: int, say: Callable[[str], object]
    ) -> None:
        self._stack = stack
        self._target = Target.from_info(stack.info)
        self._sqs = self._target.client("sqs")
        self._url = self._target.queues[QUEUE]
        self._rate = rate
        self._random = random.Random(seed)
        self._say = say
        self._wanted: set[tuple[Thing, int]] = set()

    def fill(self, letters: int) -> None:
        """Put so many valid envelopes into the queue, each of another version."""
        now = time.time_ns() // 1_000_000
        boot = now // 1000
        events = [
            (Thing(f"b{seq % 5}", f"l{seq % LOCKERS:02}"), f"d{seq // LOCKERS % DOORS:02}", seq)
            for seq in range(1, letters + 1)
        ]
        self._wanted = {(thing, version_of(boot, seq)) for thing, _, seq in events}
        for start in range(0, letters, BATCH):
            entries = [
                {
                    "Id": str(seq),
                    "MessageBody": json.dumps(
                        door_envelope(
                            payload(boot=boot, seq=seq),
                            thing=str(thing),
                            door=door,
                            kind=Kind.CLOSED,
                            received_at=now,
                        )
                    ),
                }
                for thing, door, seq in events[start : start + BATCH]
            ]
            answer = self._sqs.send_message_batch(QueueUrl=self._url, Entries=entries)
            assert not answer.get("Failed"), answer
        self._say(f"{letters} letters in {QUEUE}")

    def once(self) -> Outcome:
        """Redrive in one go what was filled in."""
        return self._finish(Outcome(len(self._wanted)), time.monotonic())

    def interrupted(self, times: int) -> Outcome:
        """Redrive with SIGINT so often, and SIGKILL for every fourth."""
        letters = len(self._wanted)
        begin, outcome = time.monotonic(), Outcome(letters)
        signals = [signal.SIGINT] * times + [signal.SIGKILL] * (times // KILL_EVERY)
        self._random.shuffle(signals)
        for number in signals:
            self._interrupt(number, letters // (len(signals) + 1), outcome)
        return self._finish(outcome, begin)

    def look_interrupted(self, number: signal.Signals) -> int:
        """Interrupt a dry run while it hides letters; how many are hidden when it has ended."""
        process = self._start("--json")
        wait_for(lambda: self._hidden() or process.poll() is not None, timeout_s=PATIENCE_S)
        process.send_signal(number)
        process.communicate(timeout=PATIENCE_S)
        return self._hidden()

    def _interrupt(self, number: signal.Signals, at_most: int, outcome: Outcome) -> None:
        """Run until a random moment, in time or in letters; it may have ended before."""
        before = self._left()
        process = self._redrive()
        if self._random.random() < 1 / 4:
            moment = time.monotonic() + self._random.uniform(0, AT_ONCE_S)
            wait_for(
                lambda: process.poll() is not None or time.monotonic() >= moment,
                timeout_s=PATIENCE_S,
            )
        else:
            gone = self._random.randint(1, max(1, at_most))
            wait_for(
                lambda: process.poll() is not None or before - self._left() >= gone,
                timeout_s=PATIENCE_S,
            )
        alive = process.poll() is None
        if alive:
            process.send_signal(number)
        process.communicate(timeout=PATIENCE_S)
        if alive and process.returncode != 0:  # else it had come to its end all the same
            outcome.interruptions[number.name] += 1
        outcome.exits.append(process.returncode)
        self._say(f"{number.name}: exit status {process.returncode}, {self._left()} letters left")

    def _finish(self, outcome: Outcome, begin: float) -> Outcome:
        """Run until it says that all is well, then look for ourselves."""
        for _ in range(AGAIN):
            process = self._redrive()
            printed, _ = process.communicate(timeout=PATIENCE_S)
            outcome.exits.append(process.returncode)
            if printed:
                told = json.loads(printed)
                outcome.rate = told["rate"]
                self._say(f"exit status {process.returncode}, problems: {told['problems'] or '-'}")
            if process.returncode == 0:
                break
        outcome.took_s = time.monotonic() - begin
        self._drain()
        outcome.left = self._left()
        outcome.in_history = len(self._wanted & self._history())
        return outcome

    def _drain(self) -> None:
        """What an interrupted run has sent, and not waited for, is on its way."""
        on_the_way = {"projector": self._target.queues["projector"]}
        wait_for(
            lambda: not any(queue_depths(self._sqs, on_the_way).values()),
            timeout_s=PATIENCE_S,
            what="the projector's queue is empty",
        )

    def _left(self) -> int:
        return queue_depths(self._sqs, {QUEUE: self._url})[QUEUE]

    def _history(self) -> set[tuple[Thing, int]]:
        resource = self._target.session.resource("dynamodb", endpoint_url=self._target.endpoint_url)
        things = sorted({thing for thing, _ in self._wanted})
        rows = read_history(resource.Table(self._target.table), things)
        return {(each.thing, each.version) for each in rows}

    def _hidden(self) -> int:
        name = "ApproximateNumberOfMessagesNotVisible"
        answer = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=[name])
        return int(answer["Attributes"][name])

    def _redrive(self) -> subprocess.Popen[str]:
        rate = f"{self._rate:g}"
        return self._start("--yes", "--json", "--rate", rate, "--canary", "120", "--wait", "120")

    def _start(self, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, "dlq", "redrive", QUEUE, *options, "--name", self._stack.name],
            cwd=ROOT,
            env=environment(self._stack.home),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if the rate was held and nothing was lost."""
    options = _parse(arguments)
    status = 1
    # A shell starts a job in the background with SIGINT ignored, and what we start inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with (
        tempfile.TemporaryDirectory() as folder,
        suppress(subprocess.TimeoutExpired),  # a stack that is slow to stop is no finding here
        cli_stack(Path(folder), "redrive") as stack,
    ):
        redriving = Redriving(
            stack, rate=options.rate, seed=options.seed, say=lambda text: print(f"  {text}")
        )
        redriving.fill(options.letters)
        whole = redriving.once()
        print(f"in one go      {whole}", flush=True)
        redriving.fill(options.letters)
        broken = redriving.interrupted(options.interruptions)
        print(f"interrupted    {broken}")
        off = abs((whole.rate or 0.0) / options.rate - 1)
        print(f"--rate {options.rate:g}: held {whole.rate or 0.0:.1f} a second, {off:.1%} off")
        status = 0 if whole.ok and broken.ok and off <= TOLERANCE else 1
    return status


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.redrive", description=__doc__)
    parser.add_argument("--letters", type=int, default=2_000, help="in each of the two fillings")
    parser.add_argument("--rate", type=float, default=100.0, help="letters a second")
    parser.add_argument("--interruptions", type=int, default=20, help="SIGINTs")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
