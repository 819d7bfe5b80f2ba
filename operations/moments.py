"""Moments as a person writes them at the command line, and as one reads them."""

from datetime import UTC, datetime, timedelta

from operations.errors import OperationsError
from operations.selection import parse_age


def parse_moment(text: str, now: datetime) -> datetime:
    """`2h` (so long ago), or ISO 8601 with an offset, in UTC.

    Raises
    ------
    OperationsError
        It is neither; a local time would mean another moment on the next machine.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        moment = None
    if moment is None:
        try:
            return now - timedelta(seconds=parse_age(text))
        except (OperationsError, OverflowError):
            raise OperationsError(
                f"{text!r} is not a moment: write 2026-11-21T03:10:00Z, or 90s, 15m, 2h, 3d for"
                " so long ago"
            ) from None
    if moment.tzinfo is None:
        raise OperationsError(f"{text!r} has no offset: write {text.strip()}Z for UTC")
    return moment.astimezone(UTC)


def show_moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def show_ms(epoch_ms: int) -> str:
    return show_moment(datetime.fromtimestamp(epoch_ms / 1000, UTC))
