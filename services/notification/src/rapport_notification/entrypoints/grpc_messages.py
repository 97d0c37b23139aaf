"""Messages over gRPC: taken on, taken back, listed, explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from rapport.notification.v1 import notification_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.once import Once
from rapport_chassis.paging import cursor_of, next_page_token
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.rpc.status import encode

from rapport_notification.app.accepting import Accepting
from rapport_notification.app.ledger import taken_back
from rapport_notification.app.messages import Stored
from rapport_notification.app.people import LedgerPeople
from rapport_notification.app.times import micros_of
from rapport_notification.domain.entries import State
from rapport_notification.domain.errors import ERRORS
from rapport_notification.entrypoints.ports import Unit
from rapport_notification.translate.messages import ask_in, record_of
from rapport_notification.translate.receipts import explanation_of

PAGE: Final = 50
MOST: Final = 500
_NEWEST: Final = (2**62, "")


@dataclass(frozen=True)
class MessageDesk:
    """Answers for messages.

    Attributes:
        once: Takes changes, each in a transaction, once.
        unit: Opens a transaction.
        accepting: Takes messages on.
        people: Who is whose.
        wake: Has the dispatcher look at once.
        clock: The time.
    """

    once: Once[Unit]
    unit: Callable[[], AbstractAsyncContextManager[Unit]]
    accepting: Accepting
    people: LedgerPeople
    wake: Callable[[], None]
    clock: Clock

    async def SendNotification(
        self, request: notification_pb2.SendNotificationRequest, context: Context
    ) -> notification_pb2.NotificationRecord:
        """Take on a message."""
        answer = await self._send(request)
        self.wake()
        return answer

    async def BatchSendNotifications(
        self, request: notification_pb2.BatchSendNotificationsRequest, context: Context
    ) -> notification_pb2.BatchSendNotificationsResponse:
        """Take on many messages, each in a transaction of its own."""
        answer = notification_pb2.BatchSendNotificationsResponse()
        for each in request.requests:
            result = answer.results.add()
            try:
                result.notification.CopyFrom(await self._send(each))
            except RapportError as error:
                result.status.CopyFrom(encode(error, ""))
        self.wake()
        return answer

    async def CancelNotification(
        self, request: notification_pb2.CancelNotificationRequest, context: Context
    ) -> notification_pb2.NotificationRecord:
        """Take a message back."""

        async def cancelled(unit: Unit) -> notification_pb2.NotificationRecord:
            found = await unit.messages.hold([request.notification_id])
            if not found:
                raise _not_found()
            step = taken_back(found[0], State.CANCELLED, micros_of(self.clock.now()))
            if step is None and found[0].entry.state is not State.CANCELLED and found[0].entry.ending is None:
                raise ERRORS.error("NOTIFICATION_ENDED", "the message has ended")
            if step is not None:
                await unit.messages.take([step])
            return await self._record(unit, step.after if step is not None else found[0])

        return await self.once.run(
            request, notification_pb2.NotificationRecord, cancelled, target=request.notification_id
        )

    async def GetNotification(
        self, request: notification_pb2.GetNotificationRequest, context: Context
    ) -> notification_pb2.NotificationRecord:
        """Return a message."""
        async with self.unit() as unit:
            found = await unit.messages.find(request.notification_id)
            if found is None:
                raise _not_found()
            return await self._record(unit, found)

    async def ListNotifications(
        self, request: notification_pb2.ListNotificationsRequest, context: Context
    ) -> notification_pb2.ListNotificationsResponse:
        """List messages, newest first."""
        size = min(request.page_size or PAGE, MOST)
        cursor = cursor_of(request, request.page_token)
        before = (int(cursor[0]), str(cursor[1])) if cursor else _NEWEST
        ids: Sequence[str] = self.people.ids_of(request.recipient_id) if request.recipient_id else ()
        answer = notification_pb2.ListNotificationsResponse()
        async with self.unit() as unit:
            found = await unit.messages.page(ids, int(request.state), int(request.verdict), before, size + 1)
            attempts = await unit.messages.attempts([each.notification_id for each in found[:size]])
        answer.notifications.extend(record_of(each, attempts[each.notification_id]) for each in found[:size])
        if len(found) > size:
            last = found[size - 1]
            answer.next_page_token = next_page_token(request, (last.accepted_us, last.notification_id))
        return answer

    async def ExplainNotification(
        self, request: notification_pb2.ExplainNotificationRequest, context: Context
    ) -> notification_pb2.NotificationExplanation:
        """Say why a message was sent, or not."""
        async with self.unit() as unit:
            found = await unit.messages.find(request.notification_id)
            if found is None:
                raise _not_found()
            receipts = await unit.messages.receipts(request.notification_id)
            return explanation_of(await self._record(unit, found), receipts)

    async def _send(self, request: notification_pb2.SendNotificationRequest) -> notification_pb2.NotificationRecord:
        ask = ask_in(request)

        async def accepted(unit: Unit) -> notification_pb2.NotificationRecord:
            return record_of(await self.accepting.accept(unit.messages, ask), ())

        return await self.once.run(request, notification_pb2.NotificationRecord, accepted, target=request.template_id)

    async def _record(self, unit: Unit, stored: Stored) -> notification_pb2.NotificationRecord:
        attempts = await unit.messages.attempts([stored.notification_id])
        return record_of(stored, attempts[stored.notification_id])


def _not_found() -> RapportError:
    return ERRORS.error("NOTIFICATION_NOT_FOUND", "there is no such message", field="notification_id")
