"""What sources send of people who are made up for one telling: records and touchpoints, as every channel has them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import uuid4

from rapport.identity.v1 import events_pb2, ingest_pb2, record_pb2, touchpoint_pb2
from rapport_chassis.times import stamp

from rapport_local.demo.scenes import ANALYTICS, DELIVERY, NORTH

_SYLLABLES: Final = ("bar", "den", "fel", "gar", "hol", "kes", "lim", "mor", "nev", "pol", "rin", "sten", "tam", "ver")
_MARKET: Final = "GB"
_NAMESPACE: Final = "shop.accounts"


def _surname() -> str:
    return "".join(secrets.choice(_SYLLABLES) for _ in range(3)).capitalize()


def _phone() -> str:
    return f"+44 7700 900{secrets.randbelow(1000):03}"  # numbers kept for stories: they reach nobody


@dataclass(frozen=True)
class Somebody:
    """A person whom nobody else is like, so that the story can be told again in the same folder.

    Attributes:
        given: First name.
        birth: Day of birth.
        surname: Family name.
        house: House number, of a street they share with all others.
        phone: Telephone number.
        key: What sets their accounts, cookies and e-mail addresses apart.
    """

    given: str
    birth: date
    surname: str = field(default_factory=_surname)
    house: str = field(default_factory=lambda: str(secrets.randbelow(400) + 1))
    phone: str = field(default_factory=_phone)
    key: str = field(default_factory=lambda: uuid4().hex[:8])

    def email(self) -> record_pb2.Identifier:
        """Their e-mail address."""
        value = f"{self.given}.{self.surname}.{self.key}@post.example".lower()
        return record_pb2.Identifier(kind=events_pb2.IDENTIFIER_KIND_EMAIL, value=value)

    def account(self) -> record_pb2.Identifier:
        """Their account."""
        return record_pb2.Identifier(
            kind=events_pb2.IDENTIFIER_KIND_ACCOUNT, namespace=_NAMESPACE, value=f"a{self.key}"
        )

    def cookie(self) -> record_pb2.Identifier:
        """Their browser."""
        return record_pb2.Identifier(kind=events_pb2.IDENTIFIER_KIND_COOKIE, namespace=_NAMESPACE, value=f"c{self.key}")

    def record(self, source: str, *identifiers: record_pb2.Identifier, **known: Any) -> record_pb2.Record:
        """Return a record of them.

        Args:
            source: Who has it.
            identifiers: What is in it.
            known: `name`, `birth`, `address`, `phone`: True for as it is, or what the source has in its place.
        """
        made = record_pb2.Record(
            key=record_pb2.RecordKey(source=source, source_record_id=f"{source}-{self.key}"),
            occurred_at=stamp(datetime.now(UTC)),
            brand_id=NORTH,
            market=_MARKET,
        )
        person = made.person
        person.identifiers.extend(identifiers)
        if name := known.get("name"):
            given, surname = (self.given, self.surname) if name is True else name
            person.names.add(given_names=given, surname=surname)
        if known.get("birth"):
            born = person.birth_date
            born.year, born.month, born.day = self.birth.year, self.birth.month, self.birth.day
        if known.get("address"):
            person.addresses.add(
                street="Larch Road", house_number=self.house, city="Exeter", postal_code="EX4 3SR", country=_MARKET
            )
        if known.get("phone"):
            person.identifiers.add(kind=events_pb2.IDENTIFIER_KIND_PHONE, value=self.phone)
        return made


def visit(*identifiers: record_pb2.Identifier) -> ingest_pb2.RawTouchpoint:
    """Somebody looks at something."""
    made = _touchpoint(identifiers, ANALYTICS)
    made.touchpoint.viewed.item.product_id = "prd_0000boots0"
    return made


def order(*identifiers: record_pb2.Identifier) -> ingest_pb2.RawTouchpoint:
    """Somebody buys something: needed to deliver it, and of interest to analysts."""
    made = _touchpoint(identifiers, DELIVERY, ANALYTICS)
    placed = made.touchpoint.order_placed
    placed.order_id = f"ord_{uuid4().hex}"
    placed.lines.add(quantity=1).item.product_id = "prd_0000boots0"
    placed.total.currency_code, placed.total.units = "GBP", 89
    return made


def kinds(person: record_pb2.PersonData) -> str:
    """Return which kinds of data there are of a person, and none of the data."""
    found = []
    if person.names:
        found.append("name")
    if person.HasField("birth_date"):
        found.append("birth date")
    if person.addresses:
        found.append("address")
    return ", ".join([*found, *kinds_of(person.identifiers)])


def kinds_of(identifiers: Any) -> list[str]:
    """Return of which kinds identifiers are."""
    names = (events_pb2.IdentifierKind.Name(each.kind).removeprefix("IDENTIFIER_KIND_") for each in identifiers)
    return [name.lower().replace("email", "e-mail") for name in names]


def _touchpoint(identifiers: tuple[record_pb2.Identifier, ...], *purpose_ids: str) -> ingest_pb2.RawTouchpoint:
    return ingest_pb2.RawTouchpoint(
        source="webshop",
        source_event_id=uuid4().hex,
        identifiers=identifiers,
        touchpoint=touchpoint_pb2.Touchpoint(
            occurred_at=stamp(datetime.now(UTC)),
            channel=touchpoint_pb2.CHANNEL_WEB,
            session_id=f"ses_{uuid4().hex}",
            brand_id=NORTH,
            market=_MARKET,
            purpose_ids=purpose_ids,
        ),
    )
