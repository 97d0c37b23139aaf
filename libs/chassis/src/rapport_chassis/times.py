"""Times of the calendar and of messages, each as the other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from rapport_chassis.errors import CHASSIS_ERRORS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def stamp(moment: datetime) -> Timestamp:
    """Return a time as a message."""
    message = Timestamp()
    set_stamp(message, moment)
    return message


def set_stamp(message: Timestamp, moment: datetime) -> None:
    """Make a message name a time: in place, since a message put into another is copied."""
    since = moment - _EPOCH
    message.seconds = since.days * 86400 + since.seconds
    message.nanos = since.microseconds * 1000


def moment(message: Timestamp) -> datetime:
    """Return the time that a message names, cut to microseconds.

    Raises:
        RapportError: INVALID_REQUEST: no calendar has it.
    """
    try:
        return _EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
    except OverflowError:
        raise CHASSIS_ERRORS.error("INVALID_REQUEST", "a time lies outside of the years 1 to 9999") from None


def duration(message: Duration) -> timedelta:
    """Return the duration that a message names, cut to microseconds.

    Raises:
        RapportError: INVALID_REQUEST: it is longer than time is counted.
    """
    try:
        return timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
    except OverflowError:
        raise CHASSIS_ERRORS.error("INVALID_REQUEST", "a duration is longer than 10,000 years") from None
