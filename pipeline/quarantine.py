"""Parks what can never be projected, with the reason beside it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.deadline import Deadline, gather
from pipeline.errors import Poison, Retryable

if TYPE_CHECKING:
    from types_boto3_sqs.client import SQSClient

BATCH_ENTRIES = 10
"""AWS: entries of one SendMessageBatch."""
BATCH_BYTES = 256 * 1024
"""Well below AWS's 1 MiB a request; an IoT payload of 128 KB is 175 KB in base64."""
ATTRIBUTES_BYTES = 1024
"""What the attributes of one message may take at most."""
CONCURRENT_SENDS = 4
GRACE_S = 1.5
"""Parking comes after the work, and may take so much of the margin behind its deadline."""


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
        self._pool = ThreadPoolExecutor(CONCURRENT_SENDS, thread_name_prefix="park")

    def park(self, records: Sequence[Parked], deadline: Deadline) -> dict[str, BaseException]:
        """Send all; what could not be sent is returned by message id, with the reason.

        Those must not be acknowledged: whoever delivers them again gives us another try.
        """
        work = {self._pool.submit(self._send, chunk): chunk for chunk in _chunks(records)}
        failures: dict[str, BaseException] = {}
        for future, refused in gather(work, deadline.extended(GRACE_S)).items():
            if isinstance(refused, BaseException):
                failures |= {record.message_id: refused for record in work[future]}
            else:
                failures |= refused
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
        answer = self._client.send_message_batch(
            QueueUrl=self._queue_url,
            Entries=entries,  # type: ignore[arg-type]
        )
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
        # JSON can hold half a surrogate pair, which is no UTF-8: SQS shall refuse it, not we fail.
        grows_by = len(record.body.encode(errors="surrogatepass")) + ATTRIBUTES_BYTES
        if chunk and (len(chunk) == BATCH_ENTRIES or size + grows_by > BATCH_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(record)
        size += grows_by
    if chunk:
        yield chunk
