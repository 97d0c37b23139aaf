"""The words that every rule of this service uses: classes, channels, and why a message waits or is not sent.

Numbers are those of the contract, so that translating is a conversion.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class MessageClass(IntEnum):
    """What may happen to a message whose fate is unknown, and how urgent it is."""

    ONE_TIME = 1
    MARKETING = 2
    SERVICE = 3
    LEGAL = 4

    @property
    def at_least_once(self) -> bool:
        """Whether a second copy is better than none. Only a duty by law is."""
        return self is MessageClass.LEGAL

    @property
    def keeps_quiet(self) -> bool:
        """Whether it waits for the morning: advertising does, what a person waits for or must be told does not."""
        return self is MessageClass.MARKETING


class Channel(IntEnum):
    """How a message reaches a person."""

    EMAIL = 1
    SMS = 2
    WEB_PUSH = 3
    IN_APP = 4
    WEBHOOK = 5


class HoldReason(IntEnum):
    """Why a message waits."""

    QUIET_HOURS = 1
    FREQUENCY_CAP = 2
    DIGEST = 3
    PROVIDER = 4
    SCHEDULED = 5
    CONSENT_STALE = 6


class DropReason(IntEnum):
    """Why a message is not sent."""

    NOT_PERMITTED = 1
    FENCED = 2
    SUPPRESSED = 3
    PREFERENCE = 4
    FREQUENCY_CAP = 5
    EXPIRED = 6
    SUPERSEDED = 7
    CANCELLED = 8
    UNREACHABLE = 9
    TEMPLATE = 10
    HELD_OUT = 11


SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US
