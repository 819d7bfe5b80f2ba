"""What `latchline dlq` shows: queues, letters, plans and outcomes."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from operations.letters import Letter
from operations.overview import QueueState
from operations.plan import Fate, Ledger, Step, rows
from pipeline.contract import format_version, shorten

if TYPE_CHECKING:
    from operations.redrive import Redrive

TOP_REASONS = 4
SHOWN_PROBLEMS = 10
RAW_CHARS = 2_000
STYLES = {
    Fate.ARRIVED: "green",
    Fate.PUBLISHED: "green",
    Fate.PARKED: "green",
    Fate.PLANNED: "",
    Fate.SENT: "yellow",
    Fate.UNCHECKED: "yellow",
    Fate.CAME_BACK: "red",
}
HINTS = {
    Fate.REFUSED: (
        "still refused by this checkout's contract: deploy a fix and use it, send them with"
        " --even-refused if the deployed pipeline is newer, or set them aside (latchline dlq park)"
    ),
    Fate.UNREADABLE: (
        "cannot be sent again as they are: latchline dlq peek --raw shows them, dlq park --export"
        " FILE sets them aside"
    ),
    Fate.SENT: "sent and not seen yet: latchline audit tells when they are on record",
    Fate.CAME_BACK: "failed again and lie in a queue anew: latchline dlq peek tells why",
    Fate.YOUNGER: "came while this ran: have a look before they are redriven",
}


def print_overview(states: Sequence[QueueState], now_ms: int, console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("queue", "letters", "in flight", "oldest"):
        table.add_column(column, justify="left" if column == "queue" else "right", no_wrap=True)
    table.add_column("top reasons", overflow="fold")
    for state in states:
        table.add_row(
            Text(state.queue, style="bold" if state.depth else "dim"),
            str(state.depth),
            str(state.in_flight),
            _oldest(state, now_ms),
            _reasons(state),
        )
    console.print(table)
    total = sum(state.depth for state in states)
    if not total:
        console.print("all empty", style="green")
        return
    if any(state.in_flight for state in states):
        console.print(
            "in flight: hidden while somebody works on them; they show again by themselves",
            highlight=False,
        )
    console.print(f"{total} letters. Look at them: latchline dlq peek", highlight=False)


def _oldest(state: QueueState, now_ms: int) -> str:
    if state.oldest_at is None:
        return "?" if state.depth else "-"
    return f"{'' if state.whole else '≥ '}{age(now_ms - state.oldest_at)}"


def _reasons(state: QueueState) -> str:
    top = list(state.reasons.items())[:TOP_REASONS]
    text = ", ".join(f"{reason} {count}" for reason, count in top)
    hidden = len(state.reasons) - len(top)
    more = f", {hidden} more" if hidden > 0 else ""
    return text + more + ("" if state.whole else f" (of {state.looked_at} looked at)")


def age(milliseconds: int) -> str:
    """Two units at most: 45 s, 3 min, 2 h 5 min, 3 d 4 h."""
    seconds = max(0, milliseconds // 1000)
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if hours < 1:
        return f"{minutes} min"
    if days < 1:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def print_letters(letters: Sequence[Letter], now_ms: int, console: Console, *, raw: bool) -> None:
    """One letter a paragraph: what it is, what is wrong, where it failed."""
    for letter in letters:
        line = Text(f"{letter.queue}  ", style="dim")
        line.append(subject(letter), style="bold")
        if letter.sent_at is not None:
            line.append(f"  {age(now_ms - letter.sent_at)} ago")
        console.print(line, soft_wrap=True)
        wrong = Text("  ")
        wrong.append(letter.reason, style="red")
        wrong.append(f": {letter.error}" if letter.error else "")
        console.print(wrong, soft_wrap=True)
        if letter.refusal is not None and str(letter.refusal.reason) != letter.reason:
            console.print(Text(f"  the contract refuses it: {letter.refusal}"), soft_wrap=True)
        console.print(Text(f"  {_where(letter)}", style="dim"), soft_wrap=True)
        if raw:
            console.print(Text(f"  {_raw(letter)}"), soft_wrap=True)


def subject(letter: Letter) -> str:
    """Building, locker, door and kind, as far as they are known."""
    if letter.thing is not None:
        door = f" door {letter.door}" if letter.door else ""
        return f"{letter.thing.building} {letter.thing.locker}{door} {letter.kind or ''}".rstrip()
    if letter.pointer is not None:
        whose = f"{letter.building}: " if letter.building else ""
        return f"{whose}pointer to {letter.pointer}"
    return "nobody knows whose"


def _where(letter: Letter) -> str:
    parts = [f"failed at: {letter.failed_at}"]
    if letter.attempts is not None:
        parts.append(f"attempts: {letter.attempts}")
    parts.append(f"received {letter.receives}×")
    parts.append(letter.event_id or f"message {letter.message_id}")
    return " · ".join(parts)


def _raw(letter: Letter) -> str:
    """The device's own bytes where there are any, else the body."""
    text = letter.body
    try:
        payload = base64.b64decode(json.loads(letter.envelope or "{}")["payload"], validate=True)
    except (ValueError, TypeError, KeyError, binascii.Error):
        return shorten(text, RAW_CHARS)
    return f"payload {shorten(payload, RAW_CHARS)}"


def letter_json(letter: Letter, *, raw: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "queue": letter.queue.value,
        "message_id": letter.message_id,
        "sent_at": letter.sent_at,
        "receives": letter.receives,
        "attempts": letter.attempts,
        "building": letter.building,
        "thing": None if letter.thing is None else str(letter.thing),
        "door": letter.door,
        "kind": letter.kind,
        "boot": letter.boot,
        "seq": letter.seq,
        "version": None if letter.version is None else format_version(letter.version),
        "event_id": letter.event_id,
        "reason": letter.reason,
        "error": letter.error,
        "refused": None if letter.refusal is None else str(letter.refusal),
        "failed_at": letter.failed_at,
        "pointer": None if letter.pointer is None else _pointer_json(letter),
    }
    if raw:
        found |= {"body": letter.body, "attributes": dict(letter.attributes)}
    return found


def _pointer_json(letter: Letter) -> dict[str, Any]:
    pointer = letter.pointer
    assert pointer is not None
    return {
        "stream": pointer.stream,
        "shard": pointer.shard,
        "first": pointer.first,
        "last": pointer.last,
        "records": pointer.records,
    }


def print_steps(steps: Sequence[Step], console: Console) -> None:
    """Print what goes where, or what became of it, letters that ended alike in one row."""
    table = Table(box=None, pad_edge=False)
    for column in ("queue", "letters", "to", "outcome"):
        table.add_column(column, justify="right" if column == "letters" else "left", no_wrap=True)
    table.add_column("why", overflow="fold")
    for row in rows(steps):
        fate = Text(row.fate.value, style=STYLES.get(row.fate, "yellow"))
        table.add_row(row.queue.value, str(row.letters), row.destination or "-", fate, row.detail)
    console.print(table)


def print_outcome(ledger: Ledger, console: Console) -> None:
    if ledger.steps:
        print_steps(ledger.steps, console)
    for remark in ledger.remarks:
        console.print(f"  {remark}", soft_wrap=True, highlight=False)
    for problem in ledger.problems[:SHOWN_PROBLEMS]:
        console.print(f"  {problem}", style="red", soft_wrap=True, highlight=False)
    hidden = len(ledger.problems) - SHOWN_PROBLEMS
    if hidden > 0:
        console.print(f"  … and {hidden} more (--json lists all)", highlight=False)
    print_hints(ledger.steps, console)


def print_hints(steps: Sequence[Step], console: Console) -> None:
    """Say what can be done about what is left, once for each kind of it."""
    for fate in dict.fromkeys(step.fate for step in steps):
        if fate in HINTS:
            count = sum(1 for step in steps if step.fate is fate)
            console.print(f"  {count} {HINTS[fate]}", soft_wrap=True, highlight=False)


class Running:
    """The progress of a redrive, drawn anew from its ledger each time."""

    def __init__(self, redrive: "Redrive") -> None:
        self._redrive = redrive

    def __rich__(self) -> RenderableType:
        steps = self._redrive.ledger.steps
        sent = sum(1 for step in steps if step.destinations)
        good = sum(1 for step in steps if step.fate.good)
        rate = self._redrive.pace.per_second
        total, hidden = self._redrive.expected, self._redrive.hidden
        grid = Table.grid(padding=(0, 1))
        speed = "" if rate is None else f"{rate:.1f}/s"
        grid.add_row(
            ProgressBar(total=max(1, total), completed=min(sent, total), width=40),
            f"{sent} of about {total} sent",
            speed,
            f"{good} seen to arrive",
            f"waiting for {hidden} that somebody else has" if hidden else "(Ctrl-C ends in order)",
        )
        return grid
