"""Taking deliveries in together: those that came while a transaction ran share the next one.

Nothing is waited for, so that one event alone is handled as soon as ever; the more there are, the less each costs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from nats.aio.msg import Msg

from rapport_chassis.database.pool import Connection
from rapport_chassis.events.envelope import Received
from rapport_chassis.events.inbox import claim_all
from rapport_chassis.events.intake import Handler, Intake, Reader, confirm, reference_to
from rapport_chassis.failpoints import failpoint
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.telemetry.tracing import error_type

MOST: Final = 64
"""Events of a group at most: as long a transaction holds what others wait for."""

GroupHandler = Callable[[Sequence[Received], Connection], Awaitable[None]]
"""Brings about what several events mean, in the order given; see `Handler`. Events of a group that fails are handled
again one by one, so that one which cannot be handled keeps back no other."""

Sift = Callable[[Sequence[Received], Connection], Awaitable[Sequence[Received]]]
"""Says which of several events mean anything now, by a look or two at the database. What it leaves out is done with:
it takes no transaction and leaves no note, so should it come again it is looked at again."""


@dataclass(frozen=True, slots=True)
class Together:
    """Says that a handler takes several events at once.

    Attributes:
        handler: Brings about what they mean.
        sift: Picks those that mean something, before anything is written; None where each may.
    """

    handler: GroupHandler
    sift: Sift | None = None


@dataclass(frozen=True, slots=True)
class _Delivery:
    message: Msg
    stream: str
    max_deliver: int
    outcome: asyncio.Future[str | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def settle(self, failure: str | None) -> None:
        """Tell whoever waits, unless nobody does any more."""
        if not self.outcome.done():
            self.outcome.set_result(failure)


class GroupIntake(Intake):
    """`Intake` that handles what waits in one transaction.

    Args:
        reader: Who reads.
        together: Brings about what events mean.
        options: The others of `Intake`.
    """

    def __init__(self, reader: Reader, together: Together, **options: Any) -> None:
        async def alone(event: Received, connection: Connection) -> None:
            await together.handler([event], connection)

        super().__init__(reader, alone, **options)
        self._group_handler = together.handler
        self._sift = together.sift
        self._waiting: deque[_Delivery] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def take(self, message: Msg, stream: str, max_deliver: int) -> str | None:
        """Handle a delivery, with others that wait, and tell the broker what became of it."""
        delivery = _Delivery(message, stream, max_deliver)
        self._waiting.append(delivery)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work(), name=f"{self._reader.consumer} group")
        return await delivery.outcome

    async def _work(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
            alone = len(group) == 1 and self._sift is None
            if alone or not await self._together(group):
                for each in group:
                    await self._settle(each)

    async def _settle(self, delivery: _Delivery) -> None:
        try:
            delivery.settle(await super().take(delivery.message, delivery.stream, delivery.max_deliver))
        except Exception as error:  # for whoever waits for this one; the others go on
            if not delivery.outcome.done():
                delivery.outcome.set_exception(error)

    async def _together(self, group: Sequence[_Delivery]) -> bool:
        """Handle a group in one transaction; return whether that went well, and nothing has happened else."""
        try:
            failpoint("consumer.received")
            events = [await self._read(each.message, reference_to(each.message, each.stream)) for each in group]
            concerned: Sequence[Received] = [each for each in events if self._concerns(each)]
            if concerned and self._sift is not None:
                async with self._database.looking() as connection:
                    concerned = await self._sift(concerned, connection)
            if concerned:
                await self._handle_all(concerned)
        except Exception as error:
            get_logger().info("group_not_handled", consumer=self._reader.consumer, reason=error_type(error))
            return False
        await asyncio.gather(*(confirm(each.message) for each in group))
        for each in group:
            each.settle(None)
        return True

    async def _handle_all(self, events: Sequence[Received]) -> None:
        began = self._clock.boottime()
        by_id = {each.id: each for each in events}
        with self._span(*by_id.values()):
            async with self._database.transaction() as connection:
                new = await claim_all(connection, self._reader.consumer, list(by_id))
                if new:
                    await self._group_handler([by_id[each] for each in by_id if each in new], connection)
        self._duplicates.add(len(events) - len(new))
        failpoint("consumer.effected")
        share = (self._clock.boottime() - began) / len(events)
        for each in events:
            destination = f"{self._reader.stream} {each.name}"
            self._red.delivered(destination)
            self._red.done(destination, share)


def intake_of(reader: Reader, handler: Handler | Together, **options: Any) -> Intake:
    """Return what takes deliveries in, one by one or together."""
    if isinstance(handler, Together):
        return GroupIntake(reader, handler, **options)
    return Intake(reader, handler, **options)
