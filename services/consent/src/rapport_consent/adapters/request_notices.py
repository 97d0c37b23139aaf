"""Hands codes and letters to notification. The closing notice is none of these: it follows privacy_request_closed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from uuid import NAMESPACE_URL, uuid4, uuid5

from google.type import date_pb2
from rapport.notification.v1 import content_pb2, events_pb2, notification_pb2, notification_pb2_grpc
from rapport_chassis.times import stamp

from rapport_consent.adapters.peers import Peers
from rapport_consent.domain.requests import Request

_CATEGORY = "privacy_requests"


class RequestNotices:
    """Asks notification to send.

    Args:
        peers: Where notification is.
        purpose_id: For which contact points on file are used.
    """

    def __init__(self, peers: Peers, *, purpose_id: str) -> None:
        self._peers = peers
        self._purpose_id = purpose_id

    async def send_code(self, request: Request, code: int, expires_at: datetime) -> None:
        """Send a one-time code to a contact point on file."""
        message = notification_pb2.SendNotificationRequest(
            request_id=str(uuid4()),
            recipient_id=request.profile_id,
            template_id="privacy_code",
            brand_id=request.brand_id,
            market=request.market,
            category=_CATEGORY,
            purpose_id=self._purpose_id,
            variables={"code": content_pb2.ContentValue(integer=code)},
            locale=request.locale,
            expires_at=stamp(expires_at),
            supersede_key=f"privacy_code:{request.id}",
        )
        setattr(message, "class", events_pb2.MESSAGE_CLASS_ONE_TIME)
        await self._notification.SendNotification(message)

    async def send_letter(self, request: Request, kind: str, days: Mapping[str, date]) -> str:
        """Tell the requester, at the address in the vault, of a letter; return the notification's id."""
        values = {
            name: content_pb2.ContentValue(date=date_pb2.Date(year=day.year, month=day.month, day=day.day))
            for name, day in days.items()
        }
        message = notification_pb2.SendNotificationRequest(
            request_id=str(uuid5(NAMESPACE_URL, f"{request.id}/{kind}/{len(request.letters)}")),
            recipient_id=request.id,
            template_id=f"privacy_{kind.lower()}",
            market=request.market,
            category=_CATEGORY,
            variables={"request_id": content_pb2.ContentValue(text=request.id), **values},
            locale=request.locale,
        )
        setattr(message, "class", events_pb2.MESSAGE_CLASS_LEGAL)
        record = await self._notification.SendNotification(message)
        return record.notification.notification_id

    @property
    def _notification(self) -> notification_pb2_grpc.NotificationServiceAsyncStub:
        return self._peers.stub("notification", notification_pb2_grpc.NotificationServiceStub)
