"""SQS in batches, each entry with its own answer: send, delete."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from operations.letters import BATCH, Letter

BATCH_BYTES = 256 * 1024
"""Well below AWS's 1 MiB a request."""
ATTEMPTS = 4
PAUSE_S = 0.2
"""Before the second attempt; doubles. botocore has retried the request as a whole by then."""

Failures = dict[str, str]
"""Message id of a letter → why SQS refused it."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send for a letter."""

    letter: Letter
    body: str
    attributes: Mapping[str, str]


def send(sqs: Any, url: str, messages: Sequence[Outgoing]) -> Failures:
    """Send all; what SQS refused, after a few attempts, is returned with the reason.

    Raises
    ------
    ClientError, BotoCoreError
        As boto3 raises them; then some may have been sent, and sending them again is harmless.
    """

    def call(chunk: Sequence[Outgoing]) -> Mapping[str, Any]:
        entries = [
            {
                "Id": str(n),
                "MessageBody": each.body,
                "MessageAttributes": {
                    name: {"DataType": "String", "StringValue": text}
                    for name, text in each.attributes.items()
                },
            }
            for n, each in enumerate(chunk)
        ]
        answer: Mapping[str, Any] = sqs.send_message_batch(QueueUrl=url, Entries=entries)
        return answer

    failures: Failures = {}
    for chunk in _chunks(messages):
        failures |= _each_entry(call, {each.letter.message_id: each for each in chunk})
    return failures


def delete(sqs: Any, url: str, letters: Sequence[Letter]) -> Failures:
    """Delete all; raises and returns as `send` does."""

    def call(chunk: Sequence[Letter]) -> Mapping[str, Any]:
        entries = [
            {"Id": str(n), "ReceiptHandle": each.receipt_handle} for n, each in enumerate(chunk)
        ]
        answer: Mapping[str, Any] = sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        return answer

    failures: Failures = {}
    for start in range(0, len(letters), BATCH):
        chunk = letters[start : start + BATCH]
        failures |= _each_entry(call, {each.message_id: each for each in chunk})
    return failures


def _each_entry(
    call: Callable[[Sequence[Any]], Mapping[str, Any]], entries: Mapping[str, Any]
) -> Failures:
    """Call until every entry has succeeded, is the sender's fault, or was tried often enough."""
    todo = dict(entries)
    failures: Failures = {}
    for attempt in range(ATTEMPTS):
        if attempt:
            threading.Event().wait(PAUSE_S * 2 ** (attempt - 1))
        names = list(todo)
        failed = call(list(todo.values())).get("Failed", [])
        again = {}
        for each in failed:
            name = names[int(each["Id"])]
            failures[name] = f"{each.get('Code', 'unknown')}: {each.get('Message', '')}"
            if not each.get("SenderFault"):
                again[name] = todo[name]
        for name in set(todo) - {names[int(each["Id"])] for each in failed}:
            failures.pop(name, None)
        todo = again
        if not todo:
            break
    return failures


def _chunks(messages: Sequence[Outgoing]) -> Iterator[Sequence[Outgoing]]:
    chunk: list[Outgoing] = []
    size = 0
    for message in messages:
        texts = (message.body, *message.attributes, *message.attributes.values())
        grows_by = sum(len(text.encode(errors="surrogatepass")) for text in texts)
        if chunk and (len(chunk) == BATCH or size + grows_by > BATCH_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(message)
        size += grows_by
    if chunk:
        yield chunk
