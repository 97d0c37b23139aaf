"""What a person is handed on request: an access package, or the smaller one they may take elsewhere.

An access package holds everything; a portability package only what the person provided or what was seen of them. What
is left out of either is counted and named in the manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from rapport_consent.domain.receipts import Controller

SCHEMA: Final = "rapport-package/1"
"""Names the form of the manifest."""


class PackageKind(StrEnum):
    """What a package is for."""

    ACCESS = "access"
    PORTABILITY = "portability"


class Origin(StrEnum):
    """How data came to be held; what was worked out is not portable."""

    UNKNOWN = "unknown"
    PROVIDED = "provided"
    OBSERVED = "observed"
    INFERRED = "inferred"


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """A kind of record that a participant keeps, as it declares it.

    Attributes:
        participant: Who keeps it.
        store: Its name there.
        category: Category of the data.
        origin: How it came to be held.
        purposes: What for, as purposes of the registry or coded duties.
        recipients: Who receives it, by name.
        kept_for: For how long; None for as long as the person is a customer.
        source: Where it comes from, as a code.
    """

    participant: str
    store: str
    category: str = ""
    origin: Origin = Origin.UNKNOWN
    purposes: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    kept_for: timedelta | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class PackageRecord:
    """One record about the person, as its participant exports it.

    Attributes:
        participant: Who keeps it.
        store: Where.
        record_id: Its identity there.
        json: One JSON object, keys in snake case.
        recorded_at: When it was taken down; None where no time is kept.
        redacted: Keys whose values were left out, since they are about other people.
    """

    participant: str
    store: str
    record_id: str
    json: str
    recorded_at: datetime | None = None
    redacted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PackagePlan:
    """What a package says of itself, beside the records.

    Attributes:
        request_id: The privacy request it answers.
        kind: What it is for.
        locale: Language of the person; another than those there are becomes English.
        made_at: When.
        controller: Who answers for the data.
        stores: What the participants keep, also stores in which nothing was found.
        authority: Whom to complain to: name and address, line by line.
        purposes: On which basis the purposes rest that stores name, by id: a code of the catalogue, or words.
        history: What happened with this and earlier requests: time, and the words for it.
    """

    request_id: str
    kind: PackageKind
    locale: str
    made_at: datetime
    controller: Controller
    stores: tuple[StoreInfo, ...] = ()
    authority: tuple[str, ...] = ()
    purposes: Mapping[str, str] = field(default_factory=dict)
    history: tuple[tuple[datetime, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PackagePapers:
    """What goes into a package beside the records.

    Attributes:
        purposes: On which basis each purpose in force rests in the person's market, by id.
        letter: The letter that goes with it, as PDF.
    """

    purposes: Mapping[str, str]
    letter: bytes


@dataclass(frozen=True, slots=True)
class StoreTally:
    """What a package holds of one store.

    Attributes:
        participant: Who keeps it.
        store: Its name.
        records: Records in the package.
        withheld: Values never disclosed, by name of the field.
        redacted: Values left out since they are about other people.
        excluded: Records left out of a portability package, since they were worked out.
    """

    participant: str
    store: str
    records: int
    withheld: Mapping[str, int]
    redacted: int
    excluded: int = 0
