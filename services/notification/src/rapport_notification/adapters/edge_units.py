"""Transactions around the send ledger: triggers, watches, feedback, unsubscribes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cached_property

from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.events import outbox

from rapport_notification.adapters.feedback import FeedbackStore
from rapport_notification.adapters.sealing import Sealer
from rapport_notification.adapters.templates import TemplateShelf
from rapport_notification.adapters.texts import TextStore
from rapport_notification.adapters.triggers import TriggerMessages, TriggersInForce, TriggerVersions
from rapport_notification.adapters.unsubscribes import Unsubscribes
from rapport_notification.adapters.watches import Watches
from rapport_notification.app.messages import Stored
from rapport_notification.app.times import micros_of
from rapport_notification.app.unsubscribing import Wish
from rapport_notification.domain.engagement import By, Seen
from rapport_notification.domain.suppression import Feedback
from rapport_notification.domain.triggers import Trigger
from rapport_notification.translate import feedback as told
from rapport_notification.translate.triggers import trigger_in


class EdgeUnit:
    """One transaction.

    Args:
        connection: The transaction.
        shelf: Templates.
        known: What the process knows of the triggers in force.
        sealer: Seals texts.
        clock: The time.
    """

    def __init__(
        self, connection: Connection, shelf: TemplateShelf, known: TriggersInForce, sealer: Sealer, clock: Clock
    ) -> None:
        self.connection = connection
        self._sealer = sealer
        self.messages = TriggerMessages(connection, shelf)
        self._known = known
        self._clock = clock

    @cached_property
    def watches(self) -> Watches:
        """What people watch."""
        return Watches(self.connection)

    @cached_property
    def triggers(self) -> TriggerVersions:
        """Versions of triggers."""
        return TriggerVersions(self.connection)

    @cached_property
    def feedback(self) -> FeedbackStore:
        """What came back."""
        return FeedbackStore(self.connection)

    @cached_property
    def texts(self) -> TextStore:
        """Texts of which something is left to do."""
        return TextStore(self.connection, self._sealer)

    @cached_property
    def wishes(self) -> Unsubscribes:
        """Who wants no more."""
        return Unsubscribes(self.connection)

    async def in_force(self, now: datetime) -> Mapping[str, Sequence[Trigger]]:
        """Return the triggers in force, by the event that they wait for."""
        return await self._known.at(self.connection, now)

    async def version(self, trigger_id: str, version: int) -> Trigger:
        """Return a version of a trigger.

        Raises:
            RapportError: VERSION_NOT_FOUND.
        """
        return trigger_in(await self.triggers.get(trigger_id, version))

    async def tell_unsubscribed(self, wish: Wish) -> None:
        """Tell of a wish when the transaction is committed."""
        await outbox.append(self.connection, [told.unsubscribed(wish, self._now_us())])

    async def tell_arrived(self, stored: Stored, attempt: int, at_us: int) -> None:
        """Tell that a message arrived."""
        await outbox.append(self.connection, [told.arrived(stored, attempt, at_us, self._now_us())])

    async def tell_bounced(self, stored: Stored, attempt: int, kind: Feedback, status: str, at_us: int) -> None:
        """Tell that a message came back."""
        await outbox.append(self.connection, [told.bounced(stored, attempt, kind, status, at_us, self._now_us())])

    async def tell_engaged(self, stored: Stored, seen: Seen, by: By) -> None:
        """Tell what was done with a message."""
        await outbox.append(self.connection, [told.engaged(stored, seen, by, self._now_us())])

    def _now_us(self) -> int:
        return micros_of(self._clock.now())


class EdgeStore:
    """Opens transactions.

    Args:
        database: Where everything is.
        shelf: Templates.
        sealer: Seals texts that people send.
        clock: The time.
    """

    def __init__(self, database: Database, shelf: TemplateShelf, sealer: Sealer, clock: Clock) -> None:
        self._database = database
        self._shelf = shelf
        self._sealer = sealer
        self._clock = clock
        self._known = TriggersInForce(clock)

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[EdgeUnit]:
        """Give a transaction: committed at the end of the block, rolled back on an error.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._database.transaction() as connection:
            yield self.unit_on(connection)

    def forget(self) -> None:
        """Read the triggers in force again at once."""
        self._known.forget()

    def unit_on(self, connection: Connection) -> EdgeUnit:
        """Give a unit inside a transaction that somebody else commits, such as a consumer's."""
        return EdgeUnit(connection, self._shelf, self._known, self._sealer, self._clock)
