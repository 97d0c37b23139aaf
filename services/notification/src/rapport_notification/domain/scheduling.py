"""Which message is next: urgent ones first, and among equals every brand and every destination in turn.

A backlog of one brand, or a destination that answers slowly, does not delay the others: turns are taken by brand, in a
brand by destination, and a destination has only so many messages under way. Some places are kept for urgent messages,
so that these never wait for a place to become free; and each so many turns one goes to a lower priority, so that a
stream of urgent ones does not stop the rest for good.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Priority(IntEnum):
    """How urgent."""

    URGENT = 0
    NORMAL = 1
    BULK = 2


@dataclass(frozen=True, slots=True)
class Queued:
    """A message that waits for its turn.

    Attributes:
        notification_id: Which.
        priority: How urgent.
        brand_id: Whose.
        destination: What it goes through: a provider, a mailbox provider's domain, an endpoint.
        fence: The claim that it waits under.
    """

    notification_id: str
    priority: Priority
    brand_id: str
    destination: str
    fence: int = 0


class FairQueue:
    """Decides on turns. Each operation takes the same time however many wait."""

    def __init__(self, *, places: int, urgent_places: int, per_destination: int, lower_turn: int = 16) -> None:
        """Set the bounds.

        Args:
            places: Messages under way at most.
            urgent_places: Of them only for urgent ones.
            per_destination: Under way to one destination at most; urgent ones have as many again.
            lower_turn: Each so many turns one goes to a lower priority.

        Raises:
            ValueError: The bounds contradict each other.
        """
        if not (0 <= urgent_places < places and per_destination > 0 and lower_turn > 1):
            raise ValueError("some places are for all, and each destination has one")
        self._free = places
        self._kept: Final = urgent_places
        self._per_destination: Final = per_destination
        self._lower_turn: Final = lower_turn
        self._turn = 0
        self._under_way: dict[str, int] = {}
        self._lanes = tuple(_Lane() for _ in Priority)

    def __len__(self) -> int:
        return sum(len(lane) for lane in self._lanes)

    def push(self, message: Queued) -> None:
        """Let a message wait for its turn."""
        self._lanes[message.priority].push(message)

    def pop(self) -> Queued | None:
        """Return the message whose turn it is; it is under way until `done`. None if none may go now."""
        if self._free == 0:
            return None
        self._turn += 1
        order = list(Priority)
        if self._turn % self._lower_turn == 0:
            order = order[1:] + order[:1]
        for priority in order:
            if priority is not Priority.URGENT and self._free <= self._kept:
                continue
            bound = self._per_destination * (2 if priority is Priority.URGENT else 1)
            message = self._lanes[priority].pop(self._under_way, bound)
            if message is not None:
                self._free -= 1
                self._under_way[message.destination] = self._under_way.get(message.destination, 0) + 1
                return message
        return None

    def done(self, message: Queued) -> None:
        """Say that a message is not under way any more."""
        self._free += 1
        left = self._under_way[message.destination] - 1
        if left:
            self._under_way[message.destination] = left
        else:
            del self._under_way[message.destination]
        for lane in self._lanes:
            lane.unblock(message.destination)


class _Lane:
    """One priority: brands in turn, destinations of a brand in turn, those that are full set aside."""

    def __init__(self) -> None:
        self._ready: OrderedDict[str, OrderedDict[str, deque[Queued]]] = OrderedDict()
        self._full: dict[str, dict[str, deque[Queued]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def push(self, message: Queued) -> None:
        self._count += 1
        aside = self._full.get(message.destination)
        if aside is not None:
            aside.setdefault(message.brand_id, deque()).append(message)
        else:
            self._ready.setdefault(message.brand_id, OrderedDict()).setdefault(message.destination, deque()).append(
                message
            )

    def pop(self, under_way: dict[str, int], bound: int) -> Queued | None:
        while self._ready:
            brand, destinations = next(iter(self._ready.items()))
            destination, waiting = next(iter(destinations.items()))
            if under_way.get(destination, 0) >= bound:
                self._set_aside(destination)
                continue
            message = waiting.popleft()
            self._count -= 1
            destinations.move_to_end(destination)
            self._ready.move_to_end(brand)
            if not waiting:
                self._drop(brand, destination)
            return message
        return None

    def unblock(self, destination: str) -> None:
        for brand, waiting in self._full.pop(destination, {}).items():
            self._ready.setdefault(brand, OrderedDict())[destination] = waiting

    def _set_aside(self, destination: str) -> None:
        aside = self._full.setdefault(destination, {})
        for brand in [brand for brand, each in self._ready.items() if destination in each]:
            aside[brand] = self._ready[brand][destination]
            self._drop(brand, destination)

    def _drop(self, brand: str, destination: str) -> None:
        del self._ready[brand][destination]
        if not self._ready[brand]:
            del self._ready[brand]
