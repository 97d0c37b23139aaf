"""Addresses that are not written to any more, after bounces and complaints. Kept as keyed hashes, which name nobody.

An erased person's hash stays: were it erased as well, the next import of the same address would be written to again.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from rapport_notification.domain.vocabulary import DAY_US, Channel, MessageClass


class Feedback(Enum):
    """What came back."""

    HARD = "hard"
    """The address does not exist, or refuses for good."""
    SOFT = "soft"
    """It refuses for now: full, away, busy."""
    COMPLAINT = "complaint"
    """The person said it was unwanted."""
    AUTO_REPLY = "auto-reply"
    """A machine answered. It says that the message arrived."""
    DELIVERED = "delivered"
    """It arrived."""


class Suppressed(Enum):
    """Why an address is not written to."""

    HARD = "hard"
    SOFT = "soft"
    COMPLAINT = "complaint"


@dataclass(frozen=True, slots=True)
class Policy:
    """When an address is given up.

    Attributes:
        soft_count: After so many soft bounces in a row, on different days.
        soft_days: Spread over at least so many days.
        soft_pause_days: For how long; then it is tried once.
    """

    soft_count: int = 5
    soft_days: int = 7
    soft_pause_days: int = 90


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that is not written to.

    Attributes:
        reason: Why.
        since_us: Since when.
        until_us: Until when; None for ever.
    """

    reason: Suppressed
    since_us: int
    until_us: int | None = None

    def forbids(self, message_class: MessageClass, now_us: int) -> bool:
        """Say whether a class may not be sent. A complaint is about what was not asked for; a duty by law goes on."""
        if self.until_us is not None and now_us >= self.until_us:
            return False
        if self.reason is Suppressed.COMPLAINT:
            return message_class is not MessageClass.LEGAL and message_class is not MessageClass.ONE_TIME
        return True


def judged(history: Iterable[tuple[int, Feedback]], policy: Policy) -> Suppression | None:
    """Return whether what came back gives an address up.

    Args:
        history: When and what, in any order.
        policy: When it does.
    """
    row: list[int] = []
    for at, feedback in sorted(history, key=lambda each: (each[0], each[1].value)):
        if feedback is Feedback.HARD:
            return Suppression(Suppressed.HARD, at)
        if feedback is Feedback.COMPLAINT:
            return Suppression(Suppressed.COMPLAINT, at)
        if feedback is Feedback.SOFT:
            row.append(at)
            days = len({each // DAY_US for each in row})
            if days >= policy.soft_count and at - row[0] >= policy.soft_days * DAY_US:
                return Suppression(Suppressed.SOFT, at, at + policy.soft_pause_days * DAY_US)
        else:
            row.clear()
    return None


def address_hash(key: bytes, channel: Channel, address: str) -> bytes:
    """Return what stands for an address: the same however it is written, and nothing without the key.

    Args:
        key: Of at least 32 bytes, of its own.
        channel: The channel: a number may be given up for texts alone.
        address: An e-mail address or a number in E.164. Case does not tell two mailboxes apart.

    Raises:
        ValueError: The key is too short.
    """
    if len(key) < 32:
        raise ValueError("a key for hashes of addresses has at least 32 bytes")
    text = f"{channel.name}\0{address.strip().lower()}"
    return hmac.digest(key, text.encode(), "sha256")
