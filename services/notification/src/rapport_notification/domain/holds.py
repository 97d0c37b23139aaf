"""Messages that wait: what takes their place, what makes them pointless, and how they are let go without a burst.

A hold is a row, not an undelivered message of the broker: a broker counts those as pending and stops.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rapport_notification.domain.entries import WAITING, State


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
