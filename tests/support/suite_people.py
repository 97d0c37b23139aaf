"""Customers of a test, each with a part of the main job to go through, the same for the same number."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

from rapport.consent.v1 import consent_pb2
from rapport.identity.v1 import events_pb2, ingest_pb2, record_pb2, touchpoint_pb2
from rapport_chassis.times import stamp
from suite_authoring import ANALYTICS, CURRENCY, DELIVERY, EMAIL, MARKET, NORTH, NOTICE, PRODUCT

_NAMES: Final = UUID("0d3f1f3e-7a51-4f0e-9a0a-6f6d3b8a2c11")
_ACCOUNTS: Final = "north.accounts"
_SYLLABLES: Final = ("bar", "den", "fel", "gar", "hol", "kes", "lim", "mor", "nev", "pol", "rin", "sten", "tam", "ver")


@dataclass(frozen=True)
class Person:
    """Somebody whom nobody else is like.

    Attributes:
        key: Sets them apart from all others of the environment.
        number: Says what they do: people of the same number do the same.
        base: The time that what they did is counted back from.
    """

    key: str
    number: int
    base: datetime

    @property
    def leaves(self) -> bool:
        """Whether they have not bought for long."""
        return self.number % 3 != 0

    @property
    def email(self) -> record_pb2.Identifier:
        """Their address, which could be a slip of nobody else's."""
        named = f"{self._name(4, 9)}.{hashlib.sha256(self.key.encode()).hexdigest()[:12]}"
        return record_pb2.Identifier(kind=events_pb2.IDENTIFIER_KIND_EMAIL, value=f"{named}@post.example".lower())

    def account(self, where: str) -> record_pb2.Identifier:
        """Their account at a source."""
        kind = events_pb2.IDENTIFIER_KIND_ACCOUNT
        return record_pb2.Identifier(kind=kind, namespace=_ACCOUNTS, value=f"{self.key}-{where}")

    def record_key(self, source: str) -> record_pb2.RecordKey:
        """The key of the record that a source holds."""
        return record_pb2.RecordKey(source=source, source_record_id=f"{self.key}-{source}")

    def record(self, source: str, *, named: bool = True) -> record_pb2.Record:
        """Return what a source holds of them; of one who is not named only the account at that source."""
        made = record_pb2.Record(
            key=self.record_key(source),
            occurred_at=stamp(self.base - timedelta(days=300 if named else 310)),
            brand_id=NORTH,
            market=MARKET,
        )
        person = made.person
        person.identifiers.append(self.account(source))
        if named:
            person.identifiers.append(self.email)
            person.names.add(given_names=self._name(9, 12), surname=self._name(4, 9))
            born = person.birth_date
            born.year, born.month, born.day = (
                1950 + self._digest(1) % 50,
                1 + self._digest(2) % 12,
                1 + self._digest(3) % 28,
            )
        return made

    def orders(self, source: str, count: int) -> list[ingest_pb2.RawTouchpoint]:
        """Return what they bought, by an account."""
        last = 200 if self.leaves else 2
        return [
            self.touchpoint(source, f"order-{at}", self.base - timedelta(days=last + 10 * at), cents=2_000 + 100 * at)
            for at in range(count)
        ]

    def touchpoint(self, source: str, name: str, at: datetime, *, cents: int = 0) -> ingest_pb2.RawTouchpoint:
        """Return an order if it costs anything, else a visit."""
        token = uuid5(_NAMES, f"{self.key}-{source}-{name}").hex
        made = ingest_pb2.RawTouchpoint(
            source="webshop",
            source_event_id=f"{self.key}-{source}-{name}",
            identifiers=[self.account(source)],
            touchpoint=touchpoint_pb2.Touchpoint(
                occurred_at=stamp(at),
                channel=touchpoint_pb2.CHANNEL_WEB,
                session_id=f"ses_{token}",
                brand_id=NORTH,
                market=MARKET,
                purpose_ids=[DELIVERY, ANALYTICS] if cents else [ANALYTICS],
            ),
        )
        if cents:
            placed = made.touchpoint.order_placed
            placed.order_id = f"ord_{token}"
            placed.lines.add(quantity=1).item.product_id = PRODUCT
            placed.total.currency_code, placed.total.units = CURRENCY, cents // 100
        else:
            made.touchpoint.viewed.item.product_id = PRODUCT
        return made

    def _digest(self, at: int) -> int:
        return hashlib.sha256(self.key.encode()).digest()[at]

    def _name(self, first: int, end: int) -> str:
        return "".join(_SYLLABLES[self._digest(at) % len(_SYLLABLES)] for at in range(first, end)).capitalize()


def choice(
    profile_id: str,
    *purpose_ids: str,
    granted: bool = True,
    request_id: str,
) -> consent_pb2.RecordConsentRequest:
    """Return what a shop records when a person has ticked boxes below the notice, or has refused there."""
    chosen = consent_pb2.CONSENT_CHOICE_GRANT if granted else consent_pb2.CONSENT_CHOICE_REFUSE
    return consent_pb2.RecordConsentRequest(
        request_id=request_id,
        profile_id=profile_id,
        items=[
            consent_pb2.ConsentItem(purpose_id=each, brand_id=NORTH if each == EMAIL else "", choice=chosen)
            for each in purpose_ids
        ],
        notice_id=NOTICE,
        notice_version=1,
        locale="en",
        market=MARKET,
        evidence=consent_pb2.Evidence(
            captured=consent_pb2.CapturedEvidence(surface="checkout", method=consent_pb2.CAPTURE_METHOD_CHECKBOX)
        ),
    )
