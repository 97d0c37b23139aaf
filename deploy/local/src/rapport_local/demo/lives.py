"""Two years of a customer: a rhythm of buying, seasons, pauses, what goes wrong; some day many do not come back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final
from uuid import UUID, uuid5

from google.type import money_pb2
from rapport.identity.v1 import ingest_pb2, record_pb2, touchpoint_pb2
from rapport_chassis.times import stamp

from rapport_local.demo.scenes import ANALYTICS, DELIVERY, NORTH, SERVICE

CURRENCY: Final = "GBP"
MARKET: Final = "GB"
_NAMES: Final = UUID("6f1d5c9e-1d5f-4b0e-9f57-0c1d3a1b7e11")
_PRODUCTS: Final = ("prd_0000boots0", "prd_0000coat00", "prd_0000scarf0", "prd_0000lamp00")
_HISTORY_DAYS: Final = 720
_TROUBLE: Final = 0.12
_LEAVES: Final = 0.045
_LEAVES_IN_TROUBLE: Final = 0.45
_PAUSES: Final = 0.03
_SEASON: Final = {11: 0.6, 12: 0.55, 1: 1.4, 2: 1.25, 7: 0.9, 8: 1.2}
"""Month -> how long the gap to the next order is, against the rest of the year."""

_CHANNELS: Final = (
    (touchpoint_pb2.CHANNEL_WEB, "webshop"),
    (touchpoint_pb2.CHANNEL_APP, "app"),
    (touchpoint_pb2.CHANNEL_STORE, "store"),
)


@dataclass(frozen=True)
class Event:
    """What happened: an order with its cents, a case that was opened, one that was settled, a return with its cents."""

    kind: str
    at: datetime
    cents: int = 0


def life(chance: Random, now: datetime) -> Iterator[Event]:
    """Yield orders at a rhythm of one's own, until somebody leaves; who was let down leaves sooner."""
    at = now - timedelta(days=chance.uniform(_HISTORY_DAYS * 0.3, _HISTORY_DAYS))
    gap_days, spends = chance.uniform(12, 55), chance.uniform(15, 160)
    while at < now:
        cents = round(100 * spends * chance.uniform(0.6, 1.5))
        yield Event("order", at, cents)
        in_trouble = chance.random() < _TROUBLE
        if in_trouble:
            yield from (each for each in _trouble(chance, at, cents) if each.at < now)
        if chance.random() < (_LEAVES_IN_TROUBLE if in_trouble else _LEAVES):
            return
        pause = chance.uniform(60, 110) if chance.random() < _PAUSES else 0.0
        at += timedelta(days=chance.gammavariate(2.0, gap_days / 2.0) * _SEASON.get(at.month, 1.0) + 0.5 + pause)


def touchpoints(
    events: tuple[Event, ...], key: str, *identifiers: record_pb2.Identifier
) -> list[ingest_pb2.RawTouchpoint]:
    """Return what the shop's systems send of a life.

    Args:
        events: The life.
        key: What sets these apart from those of others.
        identifiers: Whose they are.
    """
    return [touchpoint(event, f"{key}-{place}", *identifiers) for place, event in enumerate(events)]


def touchpoint(event: Event, key: str, *identifiers: record_pb2.Identifier) -> ingest_pb2.RawTouchpoint:
    """Return what a system of the shop sends of an event."""
    token = uuid5(_NAMES, key)
    channel, source = _CHANNELS[token.int % len(_CHANNELS)]
    if event.kind in ("case", "settled"):
        channel, source = touchpoint_pb2.CHANNEL_CALL, "support"
    made = touchpoint_pb2.Touchpoint(
        occurred_at=stamp(event.at),
        channel=channel,
        brand_id=NORTH,
        market=MARKET,
        purpose_ids=[SERVICE if source == "support" else DELIVERY, ANALYTICS],
    )
    _describe(made, event, token)
    return ingest_pb2.RawTouchpoint(source=source, source_event_id=key, identifiers=identifiers, touchpoint=made)


def _trouble(chance: Random, at: datetime, cents: int) -> Iterator[Event]:
    asked = at + timedelta(days=chance.uniform(2, 6))
    yield Event("case", asked)
    if chance.random() < 0.5:
        yield Event("return", asked + timedelta(days=2), cents)
    if chance.random() < 0.3:
        yield Event("settled", asked + timedelta(days=5))


def _describe(made: touchpoint_pb2.Touchpoint, event: Event, token: UUID) -> None:
    order_id = f"ord_{token.hex}"
    if event.kind == "order":
        placed = made.order_placed
        placed.order_id = order_id
        placed.lines.add(quantity=1).item.product_id = _PRODUCTS[token.int // 7 % len(_PRODUCTS)]
        _set(placed.total, event.cents)
    elif event.kind == "return":
        made.order_returned.order_id = order_id
        _set(made.order_returned.refund, event.cents)
    elif event.kind == "case":
        made.contact_opened.case_id = f"cas_{token.hex}"
    else:
        made.contact_closed.case_id = f"cas_{token.hex}"
        made.contact_closed.resolved = True


def _set(money: money_pb2.Money, cents: int) -> None:
    money.currency_code, money.units, money.nanos = CURRENCY, cents // 100, cents % 100 * 10_000_000
