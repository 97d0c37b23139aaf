"""Short words for what is said to the pricing service, and for what it is told of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from google.type import money_pb2
from rapport.churn.v1 import events_pb2 as churn_pb2
from rapport.pricing.v1 import authored_pb2, pricing_pb2, product_pb2
from rapport_chassis.events.envelope import Event, event_of
from rapport_chassis.ids import new_id
from rapport_chassis.times import stamp

INDIVIDUAL: Final = authored_pb2.PROMOTION_AUDIENCE_INDIVIDUAL


def request_id() -> str:
    """A request id that was never used."""
    return str(uuid4())


def money(minor: int, currency: str = "EUR") -> money_pb2.Money:
    """An amount of a currency with two decimals."""
    return money_pb2.Money(currency_code=currency, units=minor // 100, nanos=minor % 100 * 10_000_000)


def minor(amount: money_pb2.Money) -> int:
    """The same as a number."""
    return amount.units * 100 + amount.nanos // 10_000_000


def product(
    cost: int = 600, *, category: str = "shoes", markets: tuple[str, ...] = ("DE",), **fields: Any
) -> product_pb2.Product:
    """A product nobody knows yet."""
    made = product_pb2.Product(product_id=new_id("product"), category=category, **fields)
    for market in markets:
        made.listings.add(market=market, unit_cost=money(cost), tax_ppm=190_000)
    return made


def outcome(
    made: product_pb2.Product, version: int, exposure: str, kind: pricing_pb2.OutcomeKind.ValueType
) -> pricing_pb2.Outcome:
    """What became of one showing of a published price."""
    return pricing_pb2.Outcome(
        outcome_id=new_id("touchpoint"),
        exposure_id=exposure,
        product_id=made.product_id,
        market="DE",
        price_version=version,
        kind=kind,
        occurred_at=stamp(datetime.now(UTC)),
    )


def promotion_terms(days: float = 30, **fields: Any) -> authored_pb2.PromotionTerms:
    """A promotion that holds now; ten percent for everybody unless more is said."""
    now = datetime.now(UTC)
    fields.setdefault("audience", authored_pb2.PROMOTION_AUDIENCE_PUBLIC)
    if not {"percent_ppm", "amount_each", "price_each", "amount_basket"} & set(fields):
        fields["percent_ppm"] = 100_000
    return authored_pb2.PromotionTerms(
        valid_from=stamp(now - timedelta(hours=1)), valid_until=stamp(now + timedelta(days=days)), **fields
    )


def asked(*basket: tuple[product_pb2.Product, int], market: str = "DE", **fields: Any) -> pricing_pb2.GetQuoteRequest:
    """A basket whose price is asked."""
    request = pricing_pb2.GetQuoteRequest(market=market, **fields)
    for made, quantity in basket:
        request.lines.add(product_id=made.product_id, quantity=quantity)
    return request


def name() -> str:
    """A name that nothing authored has."""
    return f"p{request_id()[:12]}"


def only_for(*products: product_pb2.Product) -> authored_pb2.TermsScope:
    """Some products, in Germany."""
    return authored_pb2.TermsScope(product_ids=[each.product_id for each in products], markets=["DE"])


def risk_raised(who: str, version: int = 1, **fields: Any) -> Event:
    """What churn tells of somebody who may leave."""
    now = datetime.now(UTC)
    message = churn_pb2.RiskRaised(
        profile_id=who,
        version=version,
        level=churn_pb2.RISK_LEVEL_HIGH,
        decision_id=new_id("decision"),
        model_id=new_id("model"),
        occurred_at=stamp(now),
        recorded_at=stamp(now),
        **fields,
    )
    message.churn.add(days=30, probability=0.8)
    return event_of(message, source="churn", occurred_at=now)


def risk_cleared(who: str, version: int) -> Event:
    """What churn tells of somebody who stays."""
    now = datetime.now(UTC)
    message = churn_pb2.RiskCleared(
        profile_id=who,
        version=version,
        clearance=churn_pb2.RISK_CLEARANCE_RECOVERED,
        occurred_at=stamp(now),
        recorded_at=stamp(now),
    )
    return event_of(message, source="churn", occurred_at=now)
