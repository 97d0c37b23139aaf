"""Guards the reputation of a stream of messages at each mailbox provider: slows or stops it before the provider does.

A rate counts once it is surely above a line: its lower confidence bound is, so one complaint about the first
fifty mails stops nothing, and three hundred about fifty thousand do. What a person waits for, and a duty by law, goes
always: stopping a login code over complaints about offers would harm the person.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from rapport_notification.domain.vocabulary import MessageClass

CONFIDENCE: Final = 1.645
"""Standard deviations: one-sided 95 %."""
EXEMPT: Final = frozenset({MessageClass.ONE_TIME, MessageClass.LEGAL})


class Pressure(IntEnum):
    """How a stream may go on."""

    FREE = 0
    SLOW = 1
    STOP = 2


@dataclass(frozen=True, slots=True)
class Lines:
    """Where a rate slows and where it stops a stream.

    The large providers ask for less than 0.1 % complaints and punish from 0.3 % on, and review senders at 5 % bounces.
    """

    complaints_slow: float = 0.0008
    complaints_stop: float = 0.0025
    bounces_slow: float = 0.02
    bounces_stop: float = 0.05


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a stream at a mailbox provider.

    Attributes:
        delivered: Messages it took.
        bounced: Hard bounces.
        complained: Complaints.
    """

    delivered: int
    bounced: int = 0
    complained: int = 0


@dataclass(frozen=True, slots=True)
class Reputation:
    """What the last days say.

    Attributes:
        pressure: How the stream may go on.
        complaint_rate: At least so many of the delivered complained.
        bounce_rate: At least so many of the tried bounced.
    """

    pressure: Pressure
    complaint_rate: float
    bounce_rate: float

    def allows(self, message_class: MessageClass) -> bool:
        """Say whether a class may be sent."""
        return message_class in EXEMPT or self.pressure is not Pressure.STOP

    def share(self, message_class: MessageClass) -> float:
        """Return the part of the usual speed a class may have."""
        if message_class in EXEMPT:
            return 1.0
        return {Pressure.FREE: 1.0, Pressure.SLOW: 0.25, Pressure.STOP: 0.0}[self.pressure]


def judge(days: Iterable[Day], lines: Lines) -> Reputation:
    """Return what the last seven days say; relief comes as bad days leave them.

    Args:
        days: The last seven.
        lines: Where to slow and stop.
    """
    known = list(days)
    delivered = sum(day.delivered for day in known)
    bounced = sum(day.bounced for day in known)
    complaints = lower_bound(sum(day.complained for day in known), delivered)
    bounces = lower_bound(bounced, delivered + bounced)
    if complaints >= lines.complaints_stop or bounces >= lines.bounces_stop:
        pressure = Pressure.STOP
    elif complaints >= lines.complaints_slow or bounces >= lines.bounces_slow:
        pressure = Pressure.SLOW
    else:
        pressure = Pressure.FREE
    return Reputation(pressure, complaints, bounces)


def lower_bound(hits: int, trials: int) -> float:
    """Return what a rate surely is at least: the exact bound of rare events (Poisson), by Wilson and Hilferty."""
    if hits <= 0 or trials <= 0:
        return 0.0
    surely = hits * max(0.0, 1 - 1 / (9 * hits) - CONFIDENCE / (3 * math.sqrt(hits))) ** 3
    return min(1.0, surely / trials)
