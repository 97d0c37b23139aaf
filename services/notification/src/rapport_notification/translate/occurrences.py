"""Events of other contexts -> what happened: fields by name, and whom it is about. Unknown enum values say nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type import money_pb2
from rapport.churn.v1 import events_pb2 as churn
from rapport.consent.v1 import events_pb2 as consent
from rapport.identity.v1 import events_pb2 as identity
from rapport.identity.v1 import touchpoint_pb2
from rapport.pricing.v1 import events_pb2 as pricing
from rapport_chassis.events.contract import describe
from rapport_chassis.times import moment

from rapport_notification.domain.occurrences import Occurred, Product

SOURCES: Final[Mapping[str, tuple[type[Message], ...]]] = {
    "identity": (
        identity.ProfileCreated,
        identity.ProfileErased,
        identity.AnniversaryDue,
        identity.TouchpointRecorded,
    ),
    "churn": (churn.RiskRaised, churn.RiskCleared),
    "pricing": (pricing.PriceChanged, pricing.StockChanged, pricing.OfferCreated, pricing.OfferExpired),
    "consent": (consent.PrivacyRequestClosed,),
}
"""The events that triggers wait for, by the context that publishes them."""

CLASSES: Final = {describe(each).name: each for events in SOURCES.values() for each in events}
"""The same by name."""

CONTEXTS: Final = {describe(each).name: context for context, events in SOURCES.items() for each in events}
"""Whose each is."""

_AVAILABLE: Final = (pricing.AVAILABILITY_IN_STOCK, pricing.AVAILABILITY_LOW)
_NANOS: Final = Decimal(10**9)


def occurred_of(event_id: str, message: Message) -> Occurred:
    """Return what an event tells of.

    Args:
        event_id: Its id.
        message: Its payload, one of `CLASSES`.

    Raises:
        KeyError: It is none of them.
    """
    name = describe(type(message)).name
    return _READERS[name](name, event_id, message)


def _profile_created(name: str, event_id: str, message: Any) -> Occurred:
    state = message.state
    fields = {"profile_id": message.profile_id, "anonymous": _flag(state.anonymous), "locale": state.locale}
    return Occurred(
        name,
        event_id,
        message.profile_id,
        fields,
        _us(message.occurred_at),
        profile_id=message.profile_id,
        brand_id=state.brand_ids[0] if len(state.brand_ids) == 1 else "",
        market=state.markets[0] if len(state.markets) == 1 else "",
        locale=state.locale,
    )


def _profile_erased(name: str, event_id: str, message: Any) -> Occurred:
    fields = {"profile_id": message.profile_id}
    return Occurred(name, event_id, message.profile_id, fields, _us(message.occurred_at), profile_id=message.profile_id)


def _anniversary_due(name: str, event_id: str, message: Any) -> Occurred:
    kind = _word(identity.AnniversaryKind, message.kind)
    return Occurred(
        name,
        event_id,
        f"{message.profile_id}:{kind}:{message.version}",
        {"profile_id": message.profile_id, "kind": kind},
        _us(message.recorded_at),
        profile_id=message.profile_id,
        expires_us=_us(message.expires_at),
    )


def _touchpoint_recorded(name: str, event_id: str, message: Any) -> Occurred:
    fact, touchpoint = message.fact, message.touchpoint
    kind = touchpoint.WhichOneof("type") or ""
    fields = {
        "profile_id": fact.profile_id,
        "type": kind,
        "channel": _word(touchpoint_pb2.Channel, touchpoint.channel),
        "brand_id": touchpoint.brand_id,
        "market": touchpoint.market,
        "journey_stage": _word(touchpoint_pb2.JourneyStage, touchpoint.journey_stage),
    }
    if kind:
        said = getattr(touchpoint, kind)
        for path in ("order_id", "case_id", "topic", "offer_id", "subscription_id", "category"):
            if path in said.DESCRIPTOR.fields_by_name:
                fields[path] = getattr(said, path)
        if "total" in said.DESCRIPTOR.fields_by_name:
            fields["total"] = _money(said.total)
        if "item" in said.DESCRIPTOR.fields_by_name:
            fields["product_id"] = said.item.product_id
    return Occurred(
        name,
        event_id,
        fact.fact_id,
        {path: value for path, value in fields.items() if value},
        _us(touchpoint.occurred_at),
        profile_id=fact.profile_id,
        purposes=frozenset(touchpoint.purpose_ids),
        brand_id=touchpoint.brand_id,
        market=touchpoint.market,
        locale=touchpoint.locale,
        decision_ids=tuple(touchpoint.decision_ids),
    )


def _risk(name: str, event_id: str, message: Any) -> Occurred:
    fields = {"profile_id": message.profile_id}
    decision_ids: tuple[str, ...] = ()
    if isinstance(message, churn.RiskRaised):
        fields |= {
            "level": _word(churn.RiskLevel, message.level),
            "held_out": _flag(message.held_out),
            "intervention": message.intervention,
        }
        decision_ids = (message.decision_id,)
    return Occurred(
        name,
        event_id,
        f"{message.profile_id}:{message.version}",
        {path: value for path, value in fields.items() if value},
        _us(message.occurred_at),
        profile_id=message.profile_id,
        decision_ids=decision_ids,
    )


def _price_changed(name: str, event_id: str, message: Any) -> Occurred:
    fields = _product_fields(message) | {
        "price": _money(message.gross),
        "cause": _word(pricing.PriceCause, message.cause),
    }
    # A reduction is only claimed where the law's own measure, the lowest price of the 30 days before, says so.
    for path, other in (("change_percent", message.previous_gross), ("reduction_percent", message.prior_gross)):
        if (share := _change(other, message.gross)) is not None:
            fields[path] = share
    if message.HasField("prior_gross"):
        fields["prior_price"] = _money(message.prior_gross)
    return Occurred(
        name,
        event_id,
        _product_key(message),
        {path: value for path, value in fields.items() if value},
        _us(message.occurred_at),
        product=Product(message.product_id, message.variant_id, message.market),
        market=message.market,
        expires_us=_us(message.valid_until) if message.HasField("valid_until") else None,
    )


def _stock_changed(name: str, event_id: str, message: Any) -> Occurred:
    fields = _product_fields(message) | {
        "available": _flag(message.availability in _AVAILABLE),
        "availability": _word(pricing.Availability, message.availability),
        "quantity": str(message.quantity),
    }
    return Occurred(
        name,
        event_id,
        _product_key(message),
        {path: value for path, value in fields.items() if value},
        _us(message.occurred_at),
        product=Product(message.product_id, message.variant_id, message.market),
        market=message.market,
        version=message.version,
    )


def _offer(name: str, event_id: str, message: Any) -> Occurred:
    offer = message.offer
    fields = {
        "profile_id": offer.profile_id,
        "offer_id": offer.offer_id,
        "promotion_id": offer.promotion_id,
        "state": _word(pricing.OfferState, offer.state),
        "treatment": _word(pricing.Treatment, offer.treatment),
        "cause_event_id": offer.cause_event_id,
        "brand_id": offer.brand_id,
        "market": offer.market,
        "valid_until": moment(offer.valid_until).date().isoformat(),
    }
    if offer.WhichOneof("benefit") == "basis_points":
        fields["percent"] = format(Decimal(offer.basis_points) / 100, "f")
    else:
        fields["amount"] = _money(offer.amount)
    return Occurred(
        name,
        event_id,
        offer.offer_id,
        {path: value for path, value in fields.items() if value},
        _us(message.occurred_at),
        profile_id=offer.profile_id,
        brand_id=offer.brand_id,
        market=offer.market,
        decision_ids=(offer.decision_id,),
        expires_us=_us(offer.valid_until),
    )


def _request_closed(name: str, event_id: str, message: Any) -> Occurred:
    fields = {"request_id": message.request_id, "outcome": message.outcome}
    return Occurred(name, event_id, message.request_id, fields, _us(message.closed_at), request_id=message.request_id)


_READERS: Final[Mapping[str, Callable[[str, str, Any], Occurred]]] = {
    "profile_created": _profile_created,
    "profile_erased": _profile_erased,
    "anniversary_due": _anniversary_due,
    "touchpoint_recorded": _touchpoint_recorded,
    "risk_raised": _risk,
    "risk_cleared": _risk,
    "price_changed": _price_changed,
    "stock_changed": _stock_changed,
    "offer_created": _offer,
    "offer_expired": _offer,
    "privacy_request_closed": _request_closed,
}


def _product_fields(message: Any) -> dict[str, str]:
    return {"product_id": message.product_id, "variant_id": message.variant_id, "market": message.market}


def _product_key(message: Any) -> str:
    return f"{message.product_id}:{message.variant_id}:{message.market}:{message.version}"


def _change(before: money_pb2.Money, after: money_pb2.Money) -> str | None:
    if before.currency_code != after.currency_code or not (old := _amount(before)):
        return None
    return format(((_amount(after) - old) * 100 / old).quantize(Decimal("0.01")), "f")


def _amount(money: money_pb2.Money) -> Decimal:
    return money.units + money.nanos / _NANOS


def _money(money: money_pb2.Money) -> str:
    return f"{_amount(money).normalize():f} {money.currency_code}" if money.currency_code else ""


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _word(enum: Any, value: int) -> str:
    """Return an enum's value without its prefix, in small letters; "" for one not said or not known."""
    descriptor = enum.DESCRIPTOR
    if value == 0 or (found := descriptor.values_by_number.get(value)) is None:
        return ""
    prefix = descriptor.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return str(found.name).removeprefix(prefix).lower()


def _us(time: Timestamp) -> int:
    return time.seconds * 1_000_000 + time.nanos // 1000
