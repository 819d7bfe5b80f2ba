"""Tells an AWS failure that may pass from one that will not."""

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

THROTTLED = frozenset(
    {
        "LimitExceededException",
        "OverLimit",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
SERVER_ERROR = 500


def may_pass(error: BaseException) -> bool:
    """Whether throttling, the service's own failure or the network is to blame.

    Everything else (access denied, a table that is not there, a request that AWS calls invalid) is
    a defect or a misconfiguration. Both are retried; only this one is expected.
    """
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error_code(error) in THROTTLED or status >= SERVER_ERROR
    return isinstance(error, (BotoConnectionError, HTTPClientError))


def error_code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
