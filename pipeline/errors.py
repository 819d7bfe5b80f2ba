"""What can go wrong with a record, as one family.

    PipelineError
    ├── Poison       can never succeed: parked with its reason, then done
    ├── Retryable    may succeed later: reported to Lambda, which delivers it again
    └── EventShapeError, SettingsError   the function itself is set up wrongly: raised

Anything else that is raised is a defect of ours. It is retried and logged with its stack, so that
it ends in a dead-letter queue and never in quarantine: the message may be perfectly good.
"""

from enum import StrEnum


class PoisonReason(StrEnum):
    """Why a record can never be projected. The value is the `reason` attribute in quarantine."""

    ENVELOPE_NOT_JSON = "envelope_not_json"
    ENVELOPE_INVALID = "envelope_invalid"
    TOPIC_INVALID = "topic_invalid"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    PAYLOAD_NOT_UTF8 = "payload_not_utf8"
    PAYLOAD_NOT_JSON = "payload_not_json"
    SCHEMA_UNKNOWN = "schema_unknown"
    FIELD_MISSING = "field_missing"
    FIELD_TYPE = "field_type"
    VALUE_IMPOSSIBLE = "value_impossible"
    PRESENCE_INVALID = "presence_invalid"
    IMAGE_UNREADABLE = "image_unreadable"
    """A stream record that is no tile or locker; parked by the fan-out."""


class PipelineError(Exception):
    """Base of everything that the pipeline raises on purpose."""


class Poison(PipelineError):
    """A record that no retry can cure; `detail` names the field and its value, shortened."""

    def __init__(self, reason: PoisonReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Retryable(PipelineError):
    """Something around the record failed: throttling, a 5xx, a timeout, no time left."""


class EventShapeError(PipelineError):
    """The function was called with an event of another kind: its mapping is wrong, not a record."""

    def __init__(self, expected: str, event: object, error: Exception) -> None:
        keys = sorted(event) if isinstance(event, dict) else type(event).__name__
        super().__init__(f"expected {expected}, got {keys}: {type(error).__name__}: {error}")
