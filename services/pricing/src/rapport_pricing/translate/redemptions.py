"""Quotes that were used, as answers and as events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from rapport.identity.v1 import events_pb2 as identity_pb2
from rapport.pricing.v1 import events_pb2, pricing_pb2, quote_pb2
from rapport_chassis.events.envelope import Event, event_of
from rapport_chassis.times import moment, set_stamp

from rapport_pricing.app.decisions import Kept
from rapport_pricing.app.documents import Document
from rapport_pricing.app.redeeming import Order
from rapport_pricing.app.times import moment_of
from rapport_pricing.domain.lines import Part, PricedBasket
from rapport_pricing.domain.quotes import Settled, Settlement
from rapport_pricing.domain.tax import TaxPolicy, taxed
from rapport_pricing.translate.events import SOURCE
from rapport_pricing.translate.money import set_money
from rapport_pricing.translate.quotes import put_line, put_totals, put_use

_SETTLEMENTS: Final = {
    Settlement.AS_QUOTED: pricing_pb2.SETTLEMENT_AS_QUOTED,
    Settlement.DROPPED: pricing_pb2.SETTLEMENT_DROPPED,
}


def redemption_message(document: Document, order: Order, settled: Settled) -> pricing_pb2.Redemption:
    """Return what a redemption answers."""
    message = pricing_pb2.Redemption(
        quote_id=document.quote_id,
        order_id=order.order_id,
        profile_id=order.customer_id,
        settlement=_SETTLEMENTS[settled.settlement],
    )
    basket = settled.basket
    for line in basket.lines:
        put_line(message.lines.add(), line, document.currency)
    put_totals(message, basket.totals, document.currency)
    for use in basket.uses:
        put_use(message.uses.add(), use.promotion, use.amount, document.currency)
    message.redeemed_at.FromMicroseconds(order.at_us)
    return message


def quote_redeemed(
    document: Document,
    order: Order,
    basket: PricedBasket,
    *,
    fact_id: str,
    tax: TaxPolicy,
    decision_ids: tuple[str, ...],
    recorded_at: datetime,
) -> Event:
    """Return the event that tells of a redemption by a customer who is known."""
    message = events_pb2.QuoteRedeemed(
        quote_id=document.quote_id,
        source_event_id=order.source_event_id or order.order_id,
        decision_ids=(document.decision_id, *decision_ids),
        market=document.market,
    )
    message.fact.fact_id, message.fact.profile_id, message.fact.owner_version = fact_id, order.customer_id, 1
    for line, amount, components in basket.lines:
        price = message.prices.add(
            product_id=line.product_id,
            variant_id=line.variant_id,
            price_version=line.price_version,
            offer_ids=[part.ref for part in components if part.ref.startswith("ofr_")],
            personalised=any(part.part is Part.PERSONAL for part in components),
        )
        set_money(price.list, taxed(line.published, line.tax_ppm, tax).gross, document.currency)
        set_money(price.quoted, amount.gross // line.quantity, document.currency)
    message.occurred_at.FromMicroseconds(order.at_us)
    set_stamp(message.recorded_at, recorded_at)
    return event_of(message, source=SOURCE, occurred_at=moment_of(order.at_us))


def kept_from(document: Document, signed: quote_pb2.SignedQuote) -> Kept:
    """Return what can be kept of a quote whose journal was lost: what it says, and not what it was made from."""
    message = quote_pb2.Quote(
        quote_id=document.quote_id,
        decision_id=document.decision_id,
        profile_id=document.customer_id,
        market=document.market,
        channel=document.channel,
        personalised=document.personalised,
        law_rule_ids=document.law_rules,
        signed=signed,
    )
    for line in document.lines:
        put_line(message.lines.add(), line, document.currency)
    put_totals(message, document.totals, document.currency)
    message.issued_at.FromMicroseconds(document.issued_us)
    message.expires_at.FromMicroseconds(document.expires_us)
    made_from = [[bool(document.permit), document.permit, 0], [], "", [], []]
    return Kept(
        document.decision_id,
        document.quote_id,
        document.customer_id,
        moment_of(document.issued_us),
        "",
        0,
        message.SerializeToString(),
        json.dumps(made_from),
    )


def redeemed_again(told: bytes, profile_id: str, owner_version: int, recorded_at: datetime) -> Event:
    """Return what told of a redemption once more, since it moved to another profile."""
    message = events_pb2.QuoteRedeemed.FromString(told)
    message.fact.profile_id, message.fact.owner_version = profile_id, owner_version
    set_stamp(message.recorded_at, recorded_at)
    return event_of(message, source=SOURCE, occurred_at=moment(message.occurred_at))


def returned(
    told: identity_pb2.TouchpointRecorded, bought: Sequence[tuple[str, str, str, str, int]]
) -> list[tuple[object, ...]]:
    """Return the outcomes that an order coming back is.

    Args:
        told: The touchpoint.
        bought: What was bought at published prices by its quotes: quote, product, variant, market, price version.
    """
    back = {
        (line.quote_id, line.item.product_id, line.item.variant_id): line.quantity
        for line in told.touchpoint.order_returned.lines
    }
    return [
        (
            f"@{told.fact.fact_id}/{quote_id}/{product_id}/{variant_id}",
            quote_id,
            product_id,
            variant_id,
            market,
            version,
            pricing_pb2.OUTCOME_KIND_RETURNED,
            back[quote_id, product_id, variant_id],
            quote_id,
            told.touchpoint.occurred_at.ToMicroseconds(),
        )
        for quote_id, product_id, variant_id, market, version in bought
        if (quote_id, product_id, variant_id) in back
    ]
