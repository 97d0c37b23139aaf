"""Times of the calendar, and microseconds since 1970: the log and all features count in these."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def micros_of(moment: datetime) -> int:
    """Return a time in microseconds since 1970."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def moment_of(micros: int) -> datetime:
    """Return the time that is so many microseconds after 1970 began."""
    return _EPOCH + timedelta(microseconds=micros)
