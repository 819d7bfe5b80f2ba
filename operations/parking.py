"""A person's decision that a letter can't succeed now: it is set aside, and never dropped.

From five of the queues it goes to quarantine, with who and why beside it, in the form that a
redrive understands. From quarantine itself (and what carries no envelope, from anywhere) it goes to
a local file, JSON Lines, one letter a line as it came; `dlq redrive --from-file` brings it back.
"""

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from operations.errors import OperationsError
from operations.letters import Letter, Queue, decode
from operations.plan import Fate, Ledger, Step
from operations.selection import Selection
from operations.sending import Failures, Outgoing, send
from operations.sources import LetterSource

REASON = "parked"
ERROR_CHARS = 256
WHY_CHARS = 160


@dataclass(frozen=True, slots=True)
class Decision:
    """Who set a letter aside, when (epoch ms), and why."""

    by: str
    why: str
    at: int

    @classmethod
    def make(cls, by: str, why: str, at: int) -> "Decision":
        """Raise OperationsError unless the reason says something that SQS will keep."""
        text = why.strip()
        if not text or not text.isprintable() or len(text) > WHY_CHARS:
            raise OperationsError(
                f"--why {why!r}: say in up to {WHY_CHARS} printable characters why it can't succeed"
            )
        return cls(by, text, at)


class Parking(Protocol):
    """Where letters are set aside; what could not be is returned, and must stay in its queue."""

    name: str

    def takes(self, letter: Letter) -> str | None:
        """Why it cannot be set aside there, or None."""

    def park(self, letters: Sequence[Letter], decision: Decision) -> Failures: ...


class QuarantineParking:
    """The quarantine queue: seen by everybody, alarmed on, kept for 14 days."""

    name = "quarantine"

    def __init__(self, sqs: Any, url: str) -> None:
        self._sqs = sqs
        self._url = url

    def takes(self, letter: Letter) -> str | None:
        if letter.queue is Queue.QUARANTINE:
            return "is in quarantine already"
        if letter.envelope is None:
            return "holds no envelope"
        return None

    def park(self, letters: Sequence[Letter], decision: Decision) -> Failures:
        messages = [
            Outgoing(letter, letter.envelope, _attributes(letter, decision))
            for letter in letters
            if letter.envelope is not None
        ]
        return send(self._sqs, self._url, messages)


class FileParking:
    """A file that only its owner may read. What was written is on the disk before it returns."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def takes(self, letter: Letter) -> str | None:  # noqa: ARG002
        return None

    def park(self, letters: Sequence[Letter], decision: Decision) -> Failures:
        """Raise OperationsError if the file can't be written."""
        lines = "".join(json.dumps(_record(each, decision)) + "\n" for each in letters)
        try:
            new = not self._path.exists()
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                os.fchmod(handle, 0o600)
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
            if new:
                _sync_folder(self._path.absolute().parent)
        except OSError as error:
            raise OperationsError(f"{self._path}: {error.strerror}: nothing was parked") from error
        return {}


def park(
    source: LetterSource,
    parking: Parking,
    decision: Decision,
    selection: Selection,
    stop: threading.Event,
) -> Ledger:
    """Set aside what is selected: put it there first, then take it off its queue.

    Safe to interrupt at any moment and to run twice: then a letter may lie in both places.
    """
    ledger = Ledger()
    try:
        while not stop.is_set() and (page := source.page()):
            meant = [each for each in page if selection.matches(each, decision.at)]
            steps = [intend(letter, parking) for letter in meant]
            ledger.note(*steps)
            going = {step.letter.message_id: step for step in steps if step.goes}
            failures = parking.park([step.letter for step in going.values()], decision)
            done = [step for name, step in going.items() if name not in failures]
            undeleted = source.remove([step.letter for step in done])
            ledger.note(*(replace(step, fate=Fate.PARKED, detail=decision.why) for step in done))
            ledger.note(
                *(
                    replace(going[name], fate=Fate.FAILED, detail=why)
                    for name, why in failures.items()
                )
            )
            ledger.problems += [
                f"message {name} is in {parking.name} but could not be deleted: {why}"
                for name, why in undeleted.items()
            ]
    finally:
        source.release()
    return ledger


def intend(letter: Letter, parking: Parking) -> Step:
    """What parking would make of a letter."""
    obstacle = parking.takes(letter)
    if obstacle is not None:
        return Step(letter, (), Fate.UNREADABLE, f"{obstacle}: --export FILE takes it")
    return Step(letter, (parking.name,), Fate.PLANNED)


def read_parked(path: Path) -> list[Letter]:
    """The letters of a file of `FileParking`, each once; raise OperationsError naming the line."""
    letters: dict[tuple[str, str], Letter] = {}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OperationsError(f"{path}: {error}") from error
    for number, record in _records(path, text):
        try:
            letter = decode(Queue(record["queue"]), _message(record))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise OperationsError(
                f"{path}, line {number}: not a parked letter: {type(error).__name__}: {error}"
            ) from error
        letters[letter.queue, letter.message_id] = letter
    return list(letters.values())


def _records(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise OperationsError(f"{path}, line {number}: not JSON: {error}") from error
        yield number, record


def _record(letter: Letter, decision: Decision) -> dict[str, Any]:
    return {
        "queue": letter.queue.value,
        "message_id": letter.message_id,
        "sent_at": letter.sent_at,
        "receives": letter.receives,
        "attributes": dict(letter.attributes),
        "body": letter.body,
        "parked_by": decision.by,
        "parked_at": decision.at,
        "why": decision.why,
    }


def _message(record: Mapping[str, Any]) -> dict[str, Any]:
    """The message as SQS gave it, without a receipt handle."""
    sent_at = record["sent_at"]
    return {
        "MessageId": record["message_id"],
        "Body": record["body"],
        "Attributes": {
            "ApproximateReceiveCount": str(record["receives"]),
            **({} if sent_at is None else {"SentTimestamp": str(sent_at)}),
        },
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": text}
            for name, text in record["attributes"].items()
        },
    }


def _attributes(letter: Letter, decision: Decision) -> dict[str, str]:
    """Like the projector's own (pipeline/quarantine.py); AWS: no value may be empty."""
    said = f"{decision.by}: {decision.why} (was {letter.reason}: {letter.error})"
    printable = "".join(each if each.isprintable() else "?" for each in said)
    return {
        "reason": REASON,
        "error": printable[:ERROR_CHARS],
        "message_id": letter.message_id or "unknown",
        "parked_from": letter.queue.value,
    }


def _sync_folder(folder: Path) -> None:
    """A new file is there after a power cut only if its folder is on the disk too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
