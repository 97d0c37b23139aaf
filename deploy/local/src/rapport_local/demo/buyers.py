"""Two years of made-up customers of a shop: how often each buys, what goes wrong, and who does not come back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final
from uuid import UUID, uuid5

from google.type import money_pb2
from rapport.identity.v1 import events_pb2, ingest_pb2, record_pb2, touchpoint_pb2
from rapport_chassis.times import stamp

from rapport_local.demo.scenes import ANALYTICS, DELIVERY, NORTH, SERVICE

CURRENCY: Final = "GBP"
_NAMES: Final = UUID("6f1d5c9e-1d5f-4b0e-9f57-0c1d3a1b7e11")
_HISTORY_DAYS: Final = 720
_MARKET: Final = "GB"
_ACCOUNTS: Final = "north.accounts"
_TROUBLE: Final = 0.12
_LEAVES: Final = 0.06
_LEAVES_IN_TROUBLE: Final = 0.45


@dataclass(frozen=True)
class Event:
    """What happened: an order with its cents, a case that was opened, one that was settled, a return with its cents."""

    kind: str
    at: datetime
    cents: int = 0


@dataclass(frozen=True)
class Buyer:
    """A customer.

    Attributes:
        number: Which one.
        key: What sets this telling apart from others in the same folder.
        events: What happened, in order of time.
    """

    number: int
    key: str
    events: tuple[Event, ...]

    @property
    def account(self) -> record_pb2.Identifier:
        """The account at the shop."""
        kind = events_pb2.IDENTIFIER_KIND_ACCOUNT
        return record_pb2.Identifier(kind=kind, namespace=_ACCOUNTS, value=f"{self.key}-{self.number}")

    def record(self) -> record_pb2.Record:
        """Return what the shop's file of customers holds."""
        made = record_pb2.Record(
            key=record_pb2.RecordKey(source="crm", source_record_id=f"{self.key}-{self.number}"),
            occurred_at=stamp(self.events[0].at),
            brand_id=NORTH,
            market=_MARKET,
        )
        made.person.identifiers.append(self.account)
        made.person.identifiers.add(
            kind=events_pb2.IDENTIFIER_KIND_EMAIL, value=f"{self.key}.{self.number}@post.example"
        )
        return made

    def touchpoints(self) -> Iterator[ingest_pb2.RawTouchpoint]:
        """Yield what the shop's systems send."""
        for place, event in enumerate(self.events):
            name = f"{self.key}-{self.number}-{place}"
            touchpoint = touchpoint_pb2.Touchpoint(
                occurred_at=stamp(event.at),
                channel=touchpoint_pb2.CHANNEL_WEB,
                brand_id=NORTH,
                market=_MARKET,
                purpose_ids=[SERVICE if event.kind in ("case", "settled") else DELIVERY, ANALYTICS],
            )
            _describe(touchpoint, event, uuid5(_NAMES, name).hex)
            yield ingest_pb2.RawTouchpoint(
                source="webshop", source_event_id=name, identifiers=[self.account], touchpoint=touchpoint
            )


def buyers(count: int, key: str, now: datetime, seed: int) -> list[Buyer]:
    """Return customers; the same seed tells the same story."""
    chance = Random(seed)  # noqa: S311 - draws a story, no secret
    return [Buyer(number, key, tuple(_life(chance, now))) for number in range(count)]


def _life(chance: Random, now: datetime) -> Iterator[Event]:
    """Orders at a rhythm of one's own, until somebody leaves; who was let down leaves sooner."""
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
        at += timedelta(days=chance.gammavariate(2.0, gap_days / 2.0) + 0.5)


def _trouble(chance: Random, at: datetime, cents: int) -> Iterator[Event]:
    asked = at + timedelta(days=chance.uniform(2, 6))
    yield Event("case", asked)
    if chance.random() < 0.5:
        yield Event("return", asked + timedelta(days=2), cents)
    if chance.random() < 0.3:
        yield Event("settled", asked + timedelta(days=5))


def _describe(touchpoint: touchpoint_pb2.Touchpoint, event: Event, token: str) -> None:
    order_id = f"ord_{token}"
    if event.kind == "order":
        placed = touchpoint.order_placed
        placed.order_id = order_id
        placed.lines.add(quantity=1).item.product_id = "prd_0000boots0"
        _set(placed.total, event.cents)
    elif event.kind == "return":
        touchpoint.order_returned.order_id = order_id
        _set(touchpoint.order_returned.refund, event.cents)
    elif event.kind == "case":
        touchpoint.contact_opened.case_id = f"cas_{token}"
    else:
        touchpoint.contact_closed.case_id = f"cas_{token}"
        touchpoint.contact_closed.resolved = True


def _set(money: money_pb2.Money, cents: int) -> None:
    money.currency_code, money.units, money.nanos = CURRENCY, cents // 100, cents % 100 * 10_000_000
