"""Offers, as messages and as events."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rapport.pricing.v1 import events_pb2, pricing_pb2
from rapport_chassis.events.envelope import Event, event_of
from rapport_chassis.times import set_stamp

from rapport_pricing.app.offer_terms import OfferState, StoredOffer, Treatment
from rapport_pricing.domain.money import PPM
from rapport_pricing.domain.promotions import Benefit, Promotion
from rapport_pricing.translate.events import SOURCE
from rapport_pricing.translate.money import set_money

_STATES: Final = {
    OfferState.OPEN: events_pb2.OFFER_STATE_OPEN,
    OfferState.USED_UP: events_pb2.OFFER_STATE_USED_UP,
    OfferState.LAPSED: events_pb2.OFFER_STATE_LAPSED,
    OfferState.WITHDRAWN: events_pb2.OFFER_STATE_WITHDRAWN,
    OfferState.NOT_PERMITTED: events_pb2.OFFER_STATE_NOT_PERMITTED,
}
_TREATMENTS: Final = {
    Treatment.TREATED: events_pb2.TREATMENT_TREATED,
    Treatment.HELD_OUT: events_pb2.TREATMENT_HELD_OUT,
}
_BASIS_POINTS: Final = 10_000
_MOST_PRODUCTS: Final = 500


def offer_message(offer: StoredOffer, promotion: Promotion, currency: str) -> events_pb2.Offer:
    """Return an offer as a message.

    Args:
        offer: The offer.
        promotion: What it is an offer of.
        currency: Of its amount, where it has one.
    """
    scope = promotion.scope
    message = events_pb2.Offer(
        offer_id=offer.offer_id,
        version=offer.version,
        profile_id=offer.profile_id,
        state=_STATES[offer.state],
        treatment=_TREATMENTS[offer.treatment],
        promotion_id=offer.promotion_id,
        promotion_version=offer.promotion_version,
        decision_id=offer.decision_id,
        cause_event_id=offer.cause_event_id,
        product_ids=sorted(scope.products)[:_MOST_PRODUCTS],
        category=min(scope.categories) if len(scope.categories) == 1 else "",
        brand_id=offer.brand_id,
        market=offer.market or (min(scope.markets) if len(scope.markets) == 1 else ""),
    )
    if promotion.benefit is Benefit.PERCENT:
        message.basis_points = max(1, promotion.value * _BASIS_POINTS // PPM)
    else:
        set_money(message.amount, promotion.value, currency)
    message.valid_from.FromMicroseconds(offer.since_us)
    message.valid_until.FromMicroseconds(offer.until_us)
    return message


def offer_record(offer: StoredOffer, promotion: Promotion, currency: str) -> pricing_pb2.OfferRecord:
    """Return an offer with what allowed it."""
    message = pricing_pb2.OfferRecord(
        offer=offer_message(offer, promotion, currency), used=int(offer.state is OfferState.USED_UP)
    )
    message.created_at.FromMicroseconds(offer.created_us)
    message.permission.MergeFromString(offer.permission)
    return message


def offer_created(offer: StoredOffer, promotion: Promotion, currency: str, at: datetime) -> Event:
    """Return the event that tells of a new offer."""
    message = events_pb2.OfferCreated(offer=offer_message(offer, promotion, currency))
    set_stamp(message.occurred_at, at)
    set_stamp(message.recorded_at, at)
    return event_of(message, source=SOURCE, occurred_at=at)


def offer_expired(offer: StoredOffer, promotion: Promotion, currency: str, at: datetime) -> Event:
    """Return the event that tells that an offer cannot be used any more."""
    message = events_pb2.OfferExpired(offer=offer_message(offer, promotion, currency))
    set_stamp(message.occurred_at, at)
    set_stamp(message.recorded_at, at)
    return event_of(message, source=SOURCE, occurred_at=at, urgent=offer.state is OfferState.NOT_PERMITTED)
