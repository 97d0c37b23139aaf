"""Inboxes over gRPC: what people find inside a site or an application, from where they left off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from rapport.notification.v1 import notification_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.once import Once
from rapport_chassis.rpc.pipeline import ServicerContext as Context

from rapport_notification.app.people import LedgerPeople
from rapport_notification.app.times import micros_of
from rapport_notification.domain.inbox import InboxEntry
from rapport_notification.entrypoints.edge_ports import EdgeUnit

IDLE_S: Final = 15.0
"""After so long without anything new the stream says that it is alive."""
_AT_ONCE: Final = 100
_MARK: Final = "p"


Head = Callable[[Connection], Awaitable[int]]
"""Returns the last position of all inboxes."""

After = Callable[[Connection, Sequence[str], str, int, int], Awaitable[Sequence[InboxEntry]]]
"""Returns what changed in somebody's inbox: by all ids, of a brand, after a position, and at most so many."""

MarkRead = Callable[[Connection, Sequence[str], Sequence[str], int], Awaitable[int]]
"""Notes that messages of somebody were read; returns how many had not been."""

Transaction = Callable[[], AbstractAsyncContextManager[Connection]]
"""Opens a transaction."""


class InboxWatch:
    """Wakes streams when something was put into any inbox; looks only while somebody waits.

    Args:
        transaction: Opens a transaction.
        head: Returns the last position of all inboxes.

    Attributes:
        position: The last position that was seen.
    """

    def __init__(self, transaction: Transaction, head: Head) -> None:
        self._transaction = transaction
        self._head = head
        self._changed = asyncio.Event()
        self._waiting = 0
        self.position = 0

    async def step(self) -> bool:
        """Look whether there is something new, for those who wait.

        Raises:
            RapportError: NOT_READY.
        """
        if not self._waiting:
            return False
        async with self._transaction() as connection:
            position = await self._head(connection)
        if position > self.position:
            self.position = position
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()
        return False

    async def beyond(self, position: int, within_s: float) -> bool:
        """Wait until there is something new after a position; False if there is not in time."""
        self._waiting += 1
        try:
            async with asyncio.timeout(within_s):
                while self.position <= position:
                    await self._changed.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True


class InboxDesk:
    """Answers for inboxes.

    Args:
        once: Takes changes, each in a transaction, once.
        transaction: Opens a transaction.
        after: Returns what changed in an inbox.
        mark_read: Notes that messages were read.
        watch: Says when there is something new.
        people: Who is whose.
        clock: The time.
    """

    def __init__(
        self,
        once: Once[EdgeUnit],
        transaction: Transaction,
        after: After,
        mark_read: MarkRead,
        watch: InboxWatch,
        people: LedgerPeople,
        clock: Clock,
    ) -> None:
        self._once = once
        self._transaction = transaction
        self._after = after
        self._mark_read = mark_read
        self._watch = watch
        self._people = people
        self._clock = clock

    async def StreamInbox(
        self, request: notification_pb2.StreamInboxRequest, context: Context
    ) -> AsyncIterator[notification_pb2.StreamInboxResponse]:
        """Stream what a person finds, and what changes of it."""
        position = _position(request.resume_token)
        while True:
            # Before looking: what comes after this wakes it, whether or not it is seen here already.
            seen = self._watch.position
            # Asked anew each time: who is merged while the stream is open sees what was the other's.
            ids = self._people.ids_of(request.profile_id)
            async with self._transaction() as connection:
                found = await self._after(connection, ids, request.brand_id, position, _AT_ONCE)
            for each in found:
                yield _response(each)
                position = each.position
            if len(found) == _AT_ONCE:
                continue
            if request.drain:
                return
            if not await self._watch.beyond(seen, IDLE_S):
                yield notification_pb2.StreamInboxResponse(idle=True, resume_token=f"{_MARK}{position}")

    async def MarkInboxRead(
        self, request: notification_pb2.MarkInboxReadRequest, context: Context
    ) -> notification_pb2.MarkInboxReadResponse:
        """Note that messages were read."""

        async def marked(unit: EdgeUnit) -> notification_pb2.MarkInboxReadResponse:
            count = await self._mark_read(
                unit.connection,
                self._people.ids_of(request.profile_id),
                request.notification_ids,
                micros_of(self._clock.now()),
            )
            return notification_pb2.MarkInboxReadResponse(marked=count)

        return await self._once.run(request, notification_pb2.MarkInboxReadResponse, marked, target="inbox")


def _position(token: str) -> int:
    number = token.removeprefix(_MARK)
    if token and (number == token or not number.isdecimal() or len(number) > 18):
        raise CHASSIS_ERRORS.error("PAGE_TOKEN_INVALID", "the token is from no answer", field="resume_token")
    return int(number or 0)


def _response(entry: InboxEntry) -> notification_pb2.StreamInboxResponse:
    answer = notification_pb2.StreamInboxResponse(resume_token=f"{_MARK}{entry.position}")
    if entry.removed:
        answer.removed_notification_id = entry.notification_id
        return answer
    message = answer.message
    message.notification_id = entry.notification_id
    message.category, message.brand_id, message.locale = entry.category, entry.brand_id, entry.locale
    message.subject, message.text = entry.subject, entry.body
    message.sent_at.FromMicroseconds(entry.sent_us)
    if entry.read_us:
        message.read_at.FromMicroseconds(entry.read_us)
    return answer
