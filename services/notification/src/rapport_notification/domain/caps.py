"""How much is enough: frequency caps over all channels, counted by days of the person's own calendar.

A send reserves its place in each cap that counts it, commits when it went (or may have gone), and refunds when it
certainly did not. Storage keeps one number for each (person, cap, day) and does the three in one transaction with the
row of the person locked; nothing is counted by looking through sent messages.

Where the person's zone is not certain it may be two days at once: both are counted and both must have room.

A message that matters more may borrow beyond the cap. What was borrowed is taken from the period after, of which
advertising then gets less.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from typing import Final

from rapport_notification.domain.vocabulary import Channel, MessageClass

UNCAPPED: Final = frozenset({MessageClass.ONE_TIME, MessageClass.LEGAL})
"""Asked for by the person this minute, or owed by law: never counted, never stopped."""


@dataclass(frozen=True, slots=True)
class Cap:
    """One cap.

    Attributes:
        name: What it is called.
        limit: Messages in a period.
        days: Length of the period: the last so many days, today included.
        channels: That it counts; empty for all.
        categories: That it counts; empty for all.
        lends: How many more a message that is no advertising may have.
    """

    name: str
    limit: int
    days: int = 1
    channels: frozenset[Channel] = frozenset()
    categories: frozenset[str] = frozenset()
    lends: int = 0

    def __post_init__(self) -> None:
        if self.limit < 0 or self.days < 1 or self.lends < 0:
            raise ValueError("a cap has a period, and nothing negative")

    def counts(self, message_class: MessageClass, channel: Channel, category: str) -> bool:
        """Say whether a message takes a place in it."""
        return (
            message_class not in UNCAPPED
            and (not self.channels or channel in self.channels)
            and (not self.categories or category in self.categories)
        )

    def left(self, message_class: MessageClass, day: date, taken: Mapping[date, int]) -> int:
        """Return how many messages of a class have room on a day.

        Args:
            message_class: The class.
            day: In the person's calendar.
            taken: Places taken, reserved or for good, by day; of this period and the one before.
        """
        used = self._taken(day, taken)
        if message_class is not MessageClass.MARKETING:
            return max(0, self.limit + self.lends - used)
        borrowed = max(0, self._taken(day - timedelta(days=self.days), taken) - self.limit)
        return max(0, self.limit - borrowed - used)

    def first_room(self, message_class: MessageClass, day: date, taken: Mapping[date, int]) -> date:
        """Return the first day on which there is room, should nothing else be sent: until then it waits.

        Returns:
            At the latest the day after two periods; a cap of 0 never has room, and says that day too.
        """
        last = day + timedelta(days=2 * self.days)
        while day < last and self.left(message_class, day, taken) == 0:
            day += timedelta(days=1)
        return day

    def _taken(self, day: date, taken: Mapping[date, int]) -> int:
        return sum(taken.get(day - timedelta(days=back), 0) for back in range(self.days))


def has_room(cap: Cap, message_class: MessageClass, days: Collection[date], taken: Mapping[date, int]) -> bool:
    """Say whether a message has room on each day that it may be where the person is."""
    return all(cap.left(message_class, day, taken) > 0 for day in days)


class Place(Enum):
    """What became of a reservation."""

    RESERVED = "reserved"
    COMMITTED = "committed"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True)
class Reservation:
    """The places that one attempt holds.

    Attributes:
        places: Cap and day.
        state: What became of them.
    """

    places: frozenset[tuple[str, date]]
    state: Place = Place.RESERVED

    def settled(self, went: bool) -> tuple[Reservation, int]:
        """Commit or refund.

        Args:
            went: It went, or may have.

        Returns:
            The reservation, and what to add to the count of each of its places: 0 or -1. A second time changes
            nothing, except that a refund is taken back if the message turns out to have gone: +1.
        """
        wanted = Place.COMMITTED if went else Place.REFUNDED
        if self.state is wanted or (self.state is Place.COMMITTED and not went):
            return self, 0
        change = {Place.RESERVED: 0 if went else -1, Place.REFUNDED: 1}[self.state]
        return Reservation(self.places, wanted), change
