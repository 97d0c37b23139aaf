"""What other contexts tell of customers, in few words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rapport.identity.v1 import events_pb2 as identity_pb2
from rapport.identity.v1 import touchpoint_pb2
from rapport_chassis.events.envelope import Event, event_of
from rapport_chassis.ids import new_id
from rapport_chassis.times import stamp

ANALYTICS: Final = "analytics.visits"
DELIVERY: Final = "order.delivery"


def days_ago(days: float) -> datetime:
    """A time in the past."""
    return datetime.now(UTC) - timedelta(days=days)


def touchpoint(
    who: str,
    at: datetime,
    *purpose_ids: str,
    fact_id: str = "",
    version: int = 1,
    recorded_at: datetime | None = None,
    **happened: Any,
) -> Event:
    """What identity tells of something that a customer did."""
    message = identity_pb2.TouchpointRecorded()
    message.fact.fact_id, message.fact.profile_id = fact_id or new_id("fact"), who
    message.fact.owner_version = version
    message.touchpoint.channel = touchpoint_pb2.CHANNEL_WEB
    message.touchpoint.purpose_ids.extend(purpose_ids or (ANALYTICS, DELIVERY))
    message.touchpoint.occurred_at.CopyFrom(stamp(at))
    message.recorded_at.CopyFrom(stamp(recorded_at or datetime.now(UTC)))
    ((kind, fields),) = happened.items()
    getattr(message.touchpoint, kind).CopyFrom(fields)
    return event_of(message, source="identity", occurred_at=at)


def order(who: str, at: datetime, pounds: int = 20, **more: Any) -> Event:
    """What identity tells of an order."""
    placed = touchpoint_pb2.OrderPlaced(order_id=new_id("order"))
    placed.total.currency_code, placed.total.units = "GBP", pounds
    placed.lines.add(quantity=2).item.product_id = "prd_00000001"
    return touchpoint(who, at, order_placed=placed, **more)


def viewed(who: str, at: datetime, *purpose_ids: str, **more: Any) -> Event:
    """What identity tells of a visit."""
    return touchpoint(who, at, *purpose_ids, viewed=touchpoint_pb2.Viewed(), **more)
