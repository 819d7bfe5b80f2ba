"""Parks what can never be projected, with the reason beside it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.errors import Poison, Retryable

if TYPE_CHECKING:
    from types_boto3_sqs.client import SQSClient

BATCH_ENTRIES = 10
"""AWS: entries of one SendMessageBatch."""
BATCH_BYTES = 256 * 1024
"""Well below AWS's 1 MiB a request; an IoT payload of 128 KB is 175 KB in base64."""
ATTRIBUTES_BYTES = 1024
"""What the attributes of one message may take at most."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A record to park. `body` goes into the queue as it came."""

    message_id: str
    body: str
    poison: Poison


class Quarantine:
    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def park(self, records: Sequence[Parked]) -> dict[str, BaseException]:
        """Send all; what could not be sent is returned by message id, with the reason.

        Those must not be acknowledged: whoever delivers them again gives us another try.
        """
        failures: dict[str, BaseException] = {}
        for chunk in _chunks(records):
            failures.update(self._send(chunk))
        return failures

    def _send(self, chunk: Sequence[Parked]) -> dict[str, BaseException]:
        entries = [
            {
                "Id": str(index),
                "MessageBody": record.body,
                "MessageAttributes": attributes(record),
            }
            for index, record in enumerate(chunk)
        ]
        try:
            answer = self._client.send_message_batch(
                QueueUrl=self._queue_url,
                Entries=entries,  # type: ignore[arg-type]
            )
        except (ClientError, BotoCoreError) as error:
            return {record.message_id: error for record in chunk}
        return {
            chunk[int(failed["Id"])].message_id: Retryable(
                f"quarantine: {failed['Code']}: {failed.get('Message', '')}"
            )
            for failed in answer.get("Failed", [])
        }


def attributes(record: Parked) -> dict[str, Any]:
    """Why it is here, for whoever is on call; all strings.

    AWS: an attribute value must not be empty, nor hold control characters; details are ASCII.
    """
    texts = {
        "reason": record.poison.reason.value,
        "error": record.poison.detail[:256] or "unknown",
        "message_id": record.message_id,
    }
    return {name: {"DataType": "String", "StringValue": text} for name, text in texts.items()}


def _chunks(records: Sequence[Parked]) -> Iterator[list[Parked]]:
    chunk: list[Parked] = []
    size = 0
    for record in records:
        grows_by = len(record.body.encode()) + ATTRIBUTES_BYTES
        if chunk and (len(chunk) == BATCH_ENTRIES or size + grows_by > BATCH_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(record)
        size += grows_by
    if chunk:
        yield chunk
