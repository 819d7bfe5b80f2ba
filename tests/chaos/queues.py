"""The queues of a stack while a round runs: how full they are, and what the fan-out gave up."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from simulators.queues import queue_depths
from simulators.target import Target

ON_THE_WAY = ("ingest", "projector")
BATCH = 10
"""AWS: messages of one ReceiveMessage, and entries of a batch request."""
READ_S = 60
"""How long a message that was read is hidden, unless it is deleted before."""


class Queues:
    """Blocking calls; the names are those of `latchline info --json`."""

    def __init__(self, target: Target) -> None:
        self._urls = target.queues
        self._sqs = target.client("sqs")

    def shorten(self, visibility_s: int) -> None:
        """Let what failed come back soon."""
        for name in ON_THE_WAY:
            self._sqs.set_queue_attributes(
                QueueUrl=self._urls[name], Attributes={"VisibilityTimeout": str(visibility_s)}
            )

    def depths(self) -> dict[str, int]:
        return queue_depths(self._sqs, self._urls)

    def fanout_conditions(self) -> Counter[str]:
        """Why the fan-out's dead letters are there; they stay."""
        seen = list(self._batches("fanout_dlq"))
        for messages in seen:
            entries = [
                {"Id": str(n), "ReceiptHandle": each["ReceiptHandle"], "VisibilityTimeout": 0}
                for n, each in enumerate(messages)
            ]
            self._sqs.change_message_visibility_batch(
                QueueUrl=self._urls["fanout_dlq"], Entries=entries
            )
        return Counter(
            condition_of(json.loads(each["Body"])) for messages in seen for each in messages
        )

    def fanout_letters(self) -> list[Mapping[str, Any]]:
        """Take what the fan-out has given up, decoded."""
        taken = []
        for messages in self._batches("fanout_dlq"):
            taken += [json.loads(each["Body"]) for each in messages]
            self._delete("fanout_dlq", messages)
        return taken

    def _batches(self, name: str) -> Iterator[list[Mapping[str, Any]]]:
        while True:
            answer = self._sqs.receive_message(
                QueueUrl=self._urls[name], MaxNumberOfMessages=BATCH, VisibilityTimeout=READ_S
            )
            messages = answer.get("Messages", [])
            if not messages:
                return
            yield messages

    def _delete(self, name: str, messages: list[Mapping[str, Any]]) -> None:
        entries = [
            {"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]}
            for n, each in enumerate(messages)
        ]
        self._sqs.delete_message_batch(QueueUrl=self._urls[name], Entries=entries)


def condition_of(letter: Mapping[str, Any]) -> str:
    """Why a dead letter of the fan-out is one."""
    return str(letter["requestContext"]["condition"])
