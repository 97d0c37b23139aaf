"""Use case: find out what became of messages of which nobody can tell whether they went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from rapport_chassis.clock import Clock
from rapport_chassis.telemetry.metrics import GaugeSeries

from rapport_notification.app.carriers import Carrier, key_of
from rapport_notification.app.ledger import Step
from rapport_notification.app.messages import Stored
from rapport_notification.app.recording import UNKNOWN_OUTCOME
from rapport_notification.app.sending import SendStore
from rapport_notification.app.times import micros_of
from rapport_notification.domain import ledger
from rapport_notification.domain.entries import Entry, Limits, State
from rapport_notification.domain.resolution import BLIND, Way, resolution
from rapport_notification.domain.vocabulary import SECOND_US, Channel

_AT_ONCE: Final = 100
_AGAIN_US: Final = 5 * SECOND_US


@dataclass(frozen=True)
class Reconciling:
    """Goes round the messages in doubt.

    Attributes:
        store: Where they are.
        carriers: By channel.
        limits: Times of claims and sends.
        in_doubt: Is told how many there are.
        clock: The time.
    """

    store: SendStore
    carriers: Mapping[Channel, Carrier]
    limits: Limits
    in_doubt: GaugeSeries
    clock: Clock

    async def step(self) -> bool:
        """Take up some intents that nobody reported on, and settle some doubts; return whether there were any.

        Raises:
            RapportError: NOT_READY.
        """
        now_us = micros_of(self.clock.now())
        found, doubts = await self.store.doubts(now_us, _AT_ONCE)
        self.in_doubt.set(doubts)
        if not found:
            return False
        steps = [await self._step(each, now_us) for each in found]
        async with self.store.book() as book:
            await book.take(steps)
        return True

    async def _step(self, stored: Stored, now_us: int) -> Step:
        entry = stored.entry
        if entry.state is State.INTENT:
            after = ledger.recover(entry, now_us)
            return Step(entry, replace(stored.stepped(after, now_us), look_us=now_us), now_us)
        carrier = self.carriers.get(stored.channel) if stored.channel is not None else None
        capability = carrier.pool.capability(entry.provider) if carrier is not None else BLIND
        found = resolution(entry, capability, now_us, self.limits)
        look_us, failure = now_us, 0
        if found.way is Way.WAIT:
            after, look_us = entry, max(found.until_us, now_us + 1)
        elif found.way is Way.REPEAT:
            after = ledger.send_again(entry, entry.fence, repeat_until_us=found.until_us, due_us=now_us)
        elif found.way is Way.SEND_AGAIN:
            after = ledger.send_again(entry, entry.fence, due_us=now_us)
        elif found.way is Way.GIVE_UP:
            after, failure = ledger.settled_as_ambiguous(entry, entry.fence), UNKNOWN_OUTCOME
        else:
            after, look_us = await self._asked(stored, carrier, now_us)
        return Step(entry, replace(stored.stepped(after, now_us), look_us=look_us), now_us, failure=failure)

    async def _asked(self, stored: Stored, carrier: Carrier | None, now_us: int) -> tuple[Entry, int]:
        """Return the message after its provider was asked whether it has seen it."""
        entry = stored.entry
        seen = None
        if carrier is not None:
            seen = await carrier.seen(entry.provider, key_of(stored.notification_id, entry.series))
        if seen is None:
            return entry, now_us + _AGAIN_US
        if seen:
            return ledger.settled_as_sent(entry, entry.attempt), now_us
        return ledger.send_again(entry, entry.fence, due_us=now_us), now_us
