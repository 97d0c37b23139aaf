"""Events of other contexts, as tests and benchmarks publish them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from google.type import money_pb2
from rapport.identity.v1 import events_pb2 as identity
from rapport.identity.v1 import touchpoint_pb2
from rapport.pricing.v1 import events_pb2 as pricing
from rapport_chassis.events.envelope import Event, event_of
from rapport_chassis.ids import new_id
from rapport_chassis.times import stamp


def told(message: Any, source: str) -> Event:
    """Return an event of a context, with a message of its contract."""
    return event_of(message, source=source, occurred_at=datetime.now(UTC))


def offer(profile_id: str, **changes: Any) -> Event:
    """Return an event that an offer was made to somebody."""
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "offer_id": new_id("offer"),
        "version": 1,
        "profile_id": profile_id,
        "state": pricing.OFFER_STATE_OPEN,
        "treatment": pricing.TREATMENT_TREATED,
        "promotion_id": "winback",
        "promotion_version": 1,
        "decision_id": new_id("decision"),
        "cause_event_id": new_id("event"),
        "basis_points": 1500,
        "valid_from": stamp(now),
        "valid_until": stamp(now + timedelta(days=14)),
    }
    made = pricing.Offer(**values | changes)
    return told(pricing.OfferCreated(offer=made, occurred_at=stamp(now), recorded_at=stamp(now)), "pricing")


def recorded(profile_id: str, fact_id: str, owner_version: int, *purposes: str) -> identity.TouchpointRecorded:
    """Return that somebody did something, collected for these purposes."""
    now = stamp(datetime.now(UTC))
    made = identity.TouchpointRecorded(recorded_at=now)
    made.fact.fact_id, made.fact.profile_id, made.fact.owner_version = fact_id, profile_id, owner_version
    made.touchpoint.occurred_at.CopyFrom(now)
    made.touchpoint.channel = touchpoint_pb2.CHANNEL_WEB
    made.touchpoint.purpose_ids.extend(purposes)
    return made


def visit(profile_id: str) -> Event:
    """Return an event that somebody looked at a product."""
    made = recorded(profile_id, new_id("fact"), 1, "analytics.visits")
    made.touchpoint.viewed.item.product_id = new_id("product")
    return told(made, "identity")


def order(profile_id: str, fact_id: str, owner_version: int, *purposes: str) -> Event:
    """Return an event that somebody bought something."""
    made = recorded(profile_id, fact_id, owner_version, *purposes)
    touchpoint = made.touchpoint
    touchpoint.order_placed.order_id = new_id("order")
    touchpoint.order_placed.lines.add(quantity=1).item.product_id = new_id("product")
    touchpoint.order_placed.total.CopyFrom(money_pb2.Money(currency_code="EUR", units=20))
    return told(made, "identity")


def payload(event: Event) -> Any:
    """Return what an event says."""
    return event.message
