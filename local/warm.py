"""Starts the processes of deployed functions before anybody waits for them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from local.endpoint import Endpoint
from local.errors import AdapterError


def warm(endpoint: Endpoint, function: str, workers: int) -> None:
    """Start that many processes of a function, with empty batches at the same time (blocking).

    Raises
    ------
    AdapterError
        The function fails even without a record; the message has its error.
    """
    client = endpoint.client("lambda")

    def invoke(_: int) -> None:
        answer = client.invoke(FunctionName=function, Payload=b'{"Records": []}')
        payload = answer["Payload"].read()
        if "FunctionError" in answer:
            raise AdapterError(f"function {function} does not start: {payload.decode()[:2000]}")

    with ThreadPoolExecutor(workers) as threads:
        list(threads.map(invoke, range(workers)))
