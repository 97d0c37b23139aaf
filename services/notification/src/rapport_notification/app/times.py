"""Times in microseconds since 1970, as the ledger counts them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def micros_of(at: datetime) -> int:
    """Return a time in microseconds."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def moment_of(micros: int) -> datetime:
    """Return a time in UTC."""
    return _EPOCH + timedelta(microseconds=micros)
