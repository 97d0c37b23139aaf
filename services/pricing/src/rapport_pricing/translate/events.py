"""What is told of prices, stock and offers, as events of the contract."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rapport.pricing.v1 import events_pb2
from rapport_chassis.events.envelope import Event, event_of
from rapport_chassis.times import set_stamp

from rapport_pricing.app.stored import Published, Stock
from rapport_pricing.app.times import moment_of
from rapport_pricing.domain.ledger import PriceVersion, PriorPrice
from rapport_pricing.translate.money import set_money
from rapport_pricing.translate.products import AVAILABILITIES, CAUSES

SOURCE: Final = "pricing"
"""Whose events they are."""


def price_changed(
    published: Published, before: PriceVersion | None, prior: PriorPrice | None, recorded_at: datetime
) -> Event:
    """Return the event that tells of another published price.

    Args:
        published: The price.
        before: The one it replaces; None for the first.
        prior: The lowest price before the reduction, where one may be claimed.
        recorded_at: When it was recorded.
    """
    price = published.price
    message = events_pb2.PriceChanged(**published.key._asdict(), version=price.version, cause=CAUSES[price.cause])
    set_money(message.net, price.net, price.currency)
    set_money(message.gross, price.gross, price.currency)
    if before is not None:
        set_money(message.previous_gross, before.gross, before.currency)
    if prior is not None:
        set_money(message.prior_gross, prior.gross, price.currency)
    message.occurred_at.FromMicroseconds(price.since_us)
    set_stamp(message.recorded_at, recorded_at)
    return event_of(message, source=SOURCE, occurred_at=moment_of(price.since_us))


def stock_changed(stock: Stock, recorded_at: datetime) -> Event:
    """Return the event that tells how much is left."""
    message = events_pb2.StockChanged(
        **stock.key._asdict(),
        version=stock.version,
        availability=AVAILABILITIES[stock.availability],
        quantity=stock.quantity,
    )
    if stock.expected_us is not None:
        message.expected_at.FromMicroseconds(stock.expected_us)
    message.occurred_at.FromMicroseconds(stock.occurred_us)
    set_stamp(message.recorded_at, recorded_at)
    return event_of(message, source=SOURCE, occurred_at=moment_of(stock.occurred_us))
