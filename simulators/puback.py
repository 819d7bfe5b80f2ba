"""What a PUBACK says: taken, try again, or never.

MQTT 5, 2.4: reason codes below 0x80 say success.
"""

from awscrt import mqtt5  # type: ignore[import-untyped]

FIRST_FAILURE_CODE = 0x80
RETRYABLE = frozenset(
    {
        mqtt5.PubackReasonCode.UNSPECIFIED_ERROR,
        mqtt5.PubackReasonCode.IMPLEMENTATION_SPECIFIC_ERROR,
        mqtt5.PubackReasonCode.PACKET_IDENTIFIER_IN_USE,
        mqtt5.PubackReasonCode.QUOTA_EXCEEDED,
    }
)


def is_success(code: int | None) -> bool:
    """None is a code that the SDK does not know, and no success."""
    return code is not None and code < FIRST_FAILURE_CODE
