"""Messages that wait: what takes their place, what makes them pointless, and how they are let go without a burst.

A hold is a row, not an undelivered message of the broker: a broker counts those as pending and stops.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from rapport_notification.domain.ledger import WAITING, State
from rapport_notification.domain.vocabulary import SECOND_US

HEADROOM: Final = 1.15
"""How much faster than on average messages may be let go, to catch up after a pause."""


@dataclass(frozen=True, slots=True)
class CounterEvent:
    """An event that makes a waiting message pointless.

    Attributes:
        name: Its type, such as "risk_cleared".
        match: Fields that must have these values, such as the offer's id; all others may be any.
    """

    name: str
    match: frozenset[tuple[str, str]] = frozenset()

    def is_met(self, name: str, fields: Mapping[str, str]) -> bool:
        """Say whether an event is it."""
        return name == self.name and all(fields.get(field) == value for field, value in self.match)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is known of a message when another one or an event comes.

    Attributes:
        notification_id: Which.
        recipient_id: To whom.
        state: Where it stands.
        supersede_key: Messages with the same key say the same thing, newer or older; "" for none.
        about_us: When what it says came to be, in the world. Events come in any order, so this decides what is newer.
        cancelled_by: What makes it pointless.
    """

    notification_id: str
    recipient_id: str
    state: State
    supersede_key: str = ""
    about_us: int = 0
    cancelled_by: tuple[CounterEvent, ...] = ()


def superseded(messages: Iterable[Waiting]) -> frozenset[str]:
    """Return which messages have a newer one: of each recipient and key, all that wait but the newest ever taken on.

    One that has gone already makes an older one superfluous too. At equal times the later id stays.
    """
    groups: dict[tuple[str, str], list[Waiting]] = {}
    for each in messages:
        if each.supersede_key and each.state not in {State.CANCELLED, State.DROPPED, State.SUPERSEDED, State.FAILED}:
            groups.setdefault((each.recipient_id, each.supersede_key), []).append(each)
    found = set()
    for group in groups.values():
        newest = max(group, key=lambda each: (each.about_us, each.notification_id))
        found |= {each.notification_id for each in group if each is not newest and each.state in WAITING}
    return frozenset(found)


def cancelled(messages: Iterable[Waiting], name: str, fields: Mapping[str, str], occurred_us: int) -> frozenset[str]:
    """Return which waiting messages an event makes pointless: those about something from before it."""
    return frozenset(
        each.notification_id
        for each in messages
        if each.state in WAITING
        and each.about_us <= occurred_us
        and any(event.is_met(name, fields) for event in each.cancelled_by)
    )


def release_at(opening_us: int, spread_us: int, draw: int, expires_us: int | None = None) -> int:
    """Return when a message that waits for an opening is let go: somewhere in the time after it.

    Args:
        opening_us: When its window opens.
        spread_us: Over how long the messages of one opening are spread.
        draw: 32 bits that differ between messages, such as of a hash of the id: the same message, the same time.
        expires_us: When it is too late; it is let go in the first half of what is left.
    """
    room = spread_us if expires_us is None else min(spread_us, max(0, expires_us - opening_us) // 2)
    return opening_us + room * (draw & 0xFFFFFFFF) // (1 << 32)


class Pace:
    """How many messages may be let go now, so that none of the seconds after an opening or a pause has a burst."""

    def __init__(self, spread_us: int) -> None:
        """Start with nothing let go.

        Args:
            spread_us: Over how long messages are spread.
        """
        self._spread_us = spread_us
        self._kept = 0.0
        self._asked_us: int | None = None
        self._needs: deque[tuple[int, int]] = deque()  # of the last spread, falling: the first is the greatest

    def quota(self, now_us: int, due: int, coming: int) -> int:
        """Return how many to let go: at most as fast as the most of the last spread needed, and some more.

        Args:
            now_us: The time; calls are a second or so apart.
            due: How many are due.
            coming: How many more become due within a spread.
        """
        elapsed = now_us - (self._asked_us if self._asked_us is not None else now_us - SECOND_US)
        self._asked_us = now_us
        while self._needs and self._needs[-1][1] <= due + coming:
            self._needs.pop()
        self._needs.append((now_us, due + coming))
        while self._needs[0][0] <= now_us - self._spread_us:
            self._needs.popleft()
        rate = HEADROOM * self._needs[0][1] / self._spread_us
        # What a long pause would have allowed is not made good at once.
        self._kept = min(self._kept + rate * elapsed, max(1.0, rate * SECOND_US))
        number = min(due, math.floor(self._kept))
        self._kept -= number
        return number
