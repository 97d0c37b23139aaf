"""A source record as a caller gave it: typed fields, nothing normalised yet; what is missing is None or empty."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class RecordKey(NamedTuple):
    """Where a record comes from and its id there. Keys are ordered; every tie of the domain is broken by them."""

    source: str
    source_record_id: str


class IdentifierKind(StrEnum):
    """What an exact identifier names, apart from e-mail and telephone."""

    NATIONAL_ID = "national_id"
    """Issued to one person by an authority: social security, passport, driving licence."""
    ACCOUNT = "account"
    """Issued to one person by the business: customer number, loyalty card, log-in."""
    DEVICE = "device"
    """A device or an installed app."""
    COOKIE = "cookie"
    """A browser."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """An exact identifier.

    Attributes:
        kind: What it names.
        namespace: Who issued it; two values are comparable only within one kind and namespace.
        value: The identifier itself.
    """

    kind: IdentifierKind
    namespace: str
    value: str


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address in parts. A caller that has one line only puts it into `street`."""

    house: str | None = None
    street: str | None = None
    unit: str | None = None
    po_box: str | None = None
    city: str | None = None
    region: str | None = None
    postcode: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a person in one source.

    Attributes:
        key: Source and id there.
        given_name: The first given name, or all of them in order; an initial is welcome.
        middle_names: Further given names where they are kept apart.
        surname: The family name, with its suffix if it has one.
        birth_date: ISO 8601 if possible; other usual forms are understood.
        birth_place: Where the person was born.
        address: Where the person lives or gets mail.
        employer: Employer, or the trade where no employer is known.
        emails: E-mail addresses.
        phones: Telephone numbers, international form preferred.
        region: Two-letter country whose dialling rules hold for numbers without a prefix.
        identifiers: All other exact identifiers.
    """

    key: RecordKey
    given_name: str | None = None
    middle_names: str | None = None
    surname: str | None = None
    birth_date: str | None = None
    birth_place: str | None = None
    address: Address | None = None
    employer: str | None = None
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    region: str | None = None
    identifiers: tuple[Identifier, ...] = ()
