"""A shop whose touchpoints are taken in, under a gate that follows what its customers decide when a test says so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rapport.consent.v1 import ledger_pb2, purpose_pb2
from rapport.identity.v1 import events_pb2, ingest_pb2, record_pb2, touchpoint_pb2
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.engine import Database
from rapport_identity.adapters.declarations import DecidedDeclarations
from rapport_identity.adapters.key_store import PostgresKeyStore
from rapport_identity.adapters.suppressions import Suppressions
from rapport_identity.adapters.touchpoints import TouchpointFacts
from rapport_identity.adapters.undecided import UndecidedPurposes
from rapport_identity.app.declarations import Registry
from rapport_identity.app.touchpoints import IngestTouchpoints
from rapport_identity.app.undecided import DecideLater
from rapport_identity.translate.touchpoints import raw_of, sighting
from rapport_testing.ledger_gate import LedgerGate
from rapport_testing.ledger_model import LedgerModel

AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
ANALYTICS, DELIVERY, LINKING, OFFERS = "analytics.visits", "order.delivery", "profile.linking", "offers.personal"
_CONTRACT, _CONSENT = purpose_pb2.LEGAL_BASIS_CONTRACT, purpose_pb2.LEGAL_BASIS_CONSENT
_PURPOSES = {
    DELIVERY: _CONTRACT,
    "customer.service": _CONTRACT,
    ANALYTICS: _CONSENT,
    OFFERS: _CONSENT,
    LINKING: _CONSENT,
}
EMAIL = events_pb2.IDENTIFIER_KIND_EMAIL


def cookie(value: str = "c0ffee-17-a") -> record_pb2.Identifier:
    """A browser."""
    return record_pb2.Identifier(kind=events_pb2.IDENTIFIER_KIND_COOKIE, namespace="shop", value=value)


def account(value: str = "acc-90217") -> record_pb2.Identifier:
    """An account with the shop."""
    return record_pb2.Identifier(kind=events_pb2.IDENTIFIER_KIND_ACCOUNT, namespace="shop.accounts", value=value)


def email(value: str = "mara.quin@mail.org") -> record_pb2.Identifier:
    """An address."""
    return record_pb2.Identifier(kind=EMAIL, value=value)


def visit(
    event: str,
    *identifiers: record_pb2.Identifier,
    purposes: tuple[str, ...] = (ANALYTICS,),
    source: str = "webshop",
    at: datetime = AT,
    **touchpoint: Any,
) -> ingest_pb2.RawTouchpoint:
    """Somebody looks at something, if nothing else is said of it."""
    message = ingest_pb2.RawTouchpoint(source=source, source_event_id=event, identifiers=identifiers)
    message.touchpoint.CopyFrom(
        touchpoint_pb2.Touchpoint(
            channel=touchpoint_pb2.CHANNEL_WEB,
            session_id="ses_0123456789",
            journey_stage=touchpoint_pb2.JOURNEY_STAGE_CONSIDERATION,
            purpose_ids=purposes,
        )
    )
    message.touchpoint.occurred_at.FromDatetime(at)
    if "order_placed" not in touchpoint:
        message.touchpoint.viewed.SetInParent()
    message.touchpoint.MergeFrom(touchpoint_pb2.Touchpoint(**touchpoint))
    return message


def order(
    event: str,
    *identifiers: record_pb2.Identifier,
    purposes: tuple[str, ...] = (DELIVERY, ANALYTICS),
    **more: Any,
) -> ingest_pb2.RawTouchpoint:
    """Somebody buys something, for the contract and for analytics."""
    placed = touchpoint_pb2.OrderPlaced(order_id="ord_0123456789")
    placed.total.currency_code, placed.total.units = "EUR", 20
    return visit(event, *identifiers, purposes=purposes, order_placed=placed, **more)


class Shop:
    """A process that takes touchpoints in, with a gate that follows a ledger of its own."""

    def __init__(self, process: Any, opened: Database, keys: PostgresKeyStore) -> None:
        self.process, self._opened = process, opened
        self.ledger, clock = LedgerModel(), SystemClock()
        for purpose, basis in _PURPOSES.items():
            self.ledger.define(purpose, basis, active_from=datetime(2020, 1, 1, tzinfo=UTC))
        self._followed = LedgerGate(self.ledger, clock)
        self.follow()
        registry, gate = Registry(DecidedDeclarations()), self._followed.gate
        self._ingest = IngestTouchpoints(
            process.partition,
            process.resolve_records,
            registry=registry,
            gate=gate,
            erased=Suppressions(keys),
            facts=TouchpointFacts(),
            submit=sighting,
            clock=clock,
        )
        self.decide_later = DecideLater(
            process.partition, UndecidedPurposes(), registry=registry, gate=gate, clock=clock
        )

    def follow(self) -> None:
        """Have the gate know what people decided."""
        self._followed.follow()

    def go_stale(self) -> None:
        """Have the gate not know whether it is behind."""
        self._followed.go_stale()

    def grant(self, profile_id: str, *purposes: str) -> None:
        """Have somebody allow something, and the gate know it."""
        for purpose in purposes:
            self.ledger.grant(profile_id, purpose)
        self.follow()

    def refuse(self, profile_id: str, *purposes: str) -> None:
        """Have somebody refuse something, and the gate know it."""
        for purpose in purposes:
            self.ledger.deny(profile_id, purpose, ledger_pb2.CONSENT_STATUS_REFUSED)
        self.follow()

    async def take(self, *messages: ingest_pb2.RawTouchpoint) -> Any:
        """Take touchpoints in, and return what each is answered."""
        return await self._ingest([raw_of(message) for message in messages])

    async def rows(self, statement: str, *values: Any) -> list[Any]:
        """Return what a query finds."""
        async with self._opened.transaction() as connection:
            return await (await connection.execute(statement.encode(), values)).fetchall()

    async def told(self) -> list[events_pb2.TouchpointRecorded]:
        """Return what others are told, in order."""
        rows = await self.rows("SELECT payload FROM outbox WHERE type LIKE '%%touchpoint_recorded' ORDER BY seq")
        return [events_pb2.TouchpointRecorded.FromString(payload) for (payload,) in rows]

    async def left(self) -> dict[str, int]:
        """Return how many rows there are in every table that tells of persons or of what they did."""
        return {
            table: (await self.rows(f"SELECT count(*) FROM {table}"))[0][0]
            for table in ("records", "identifiers", "profiles", "facts", "moves", "outbox")
        }
