"""Use case: try a trigger on events of the past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from rapport_chassis.clock import Clock

from rapport_notification.app.people import LedgerPeople
from rapport_notification.domain.occurrences import Occurred, Product
from rapport_notification.domain.simulating import Past, Simulation, simulate
from rapport_notification.domain.triggers import Audience, Trigger

MOST: Final = 2000
"""Events of one type that are read: a second or two."""
_WATCHERS: Final = 10_000


class Events(Protocol):
    """Knows what happened."""

    async def since(self, event: str, at: datetime, most: int) -> list[Occurred]:
        """Return what happened since a time, the oldest first; of more than `most` the rest is left out."""
        ...


class WhoWatches(Protocol):
    """Knows who watched what."""

    async def watchers(self, product: Product, at_us: int, after_id: str, limit: int) -> list[str]:
        """Return who watched a product at a time, by id and after one."""
        ...


@dataclass(frozen=True)
class Simulating:
    """Tries triggers.

    Attributes:
        events: What happened.
        people: Who is whose.
        clock: The time.
    """

    events: Events
    people: LedgerPeople
    clock: Clock

    async def try_out(self, trigger: Trigger, window: timedelta, watches: WhoWatches) -> tuple[int, Simulation]:
        """Return how many events a trigger would have seen, and what it would have sent.

        Args:
            trigger: The trigger.
            window: How far back.
            watches: Who watched what.

        Raises:
            RapportError: STREAM_MISSING, BROKER_UNAVAILABLE.
        """
        since = self.clock.now() - window
        names = {trigger.event, *(event for event, _ in trigger.cancelled_by)}
        found = {name: _again(await self.events.since(name, since, MOST)) for name in sorted(names)}
        audiences: dict[Product, frozenset[str]] = {}
        if trigger.audience is Audience.WATCHERS:
            now_us = round(self.clock.now().timestamp() * 1_000_000)
            for each in found[trigger.event]:
                if each.product is not None and each.product not in audiences:
                    who = await watches.watchers(each.product, now_us, "", _WATCHERS)
                    audiences[each.product] = frozenset(map(self.people.current, who))
        everybody = frozenset().union(*audiences.values())
        history = [
            Past(each, self._recipients(each, trigger, audiences, everybody)) for name in found for each in found[name]
        ]
        return len(found[trigger.event]), simulate(trigger, history)

    def _recipients(
        self,
        occurred: Occurred,
        trigger: Trigger,
        audiences: Mapping[Product, frozenset[str]],
        everybody: frozenset[str],
    ) -> frozenset[str]:
        """Return whom an event concerns: whom it would be told to, or whose messages it would take back."""
        if occurred.product is not None:
            return audiences.get(occurred.product, everybody if occurred.event != trigger.event else frozenset())
        who = occurred.request_id or occurred.profile_id
        return frozenset({self.people.current(who)}) if who else everybody


def _again(history: Sequence[Occurred]) -> list[Occurred]:
    """Return events with what they say of the one before: whether a thing could be bought."""
    before: dict[Product, str] = {}
    found = []
    for each in history:
        if each.event == "stock_changed" and each.product is not None:
            known = before.get(each.product)
            before[each.product] = each.fields["available"]
            each = each if known is None else replace(each, fields={**each.fields, "was_available": known})
        found.append(each)
    return found
