"""What may be collected, declared before it is: sources, types of touchpoints, attributes beyond the vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar

from rapport_chassis.errors import FieldViolation

from rapport_identity.domain.errors import ERRORS
from rapport_identity.domain.sightings import SOURCE as SIGHTINGS

TYPES: Final = (
    "viewed", "searched", "cart_changed", "order_placed", "order_delivered", "order_returned", "message_opened",
    "message_clicked", "offer_shown", "offer_accepted", "offer_refused", "contact_opened", "contact_answered",
    "contact_closed", "feedback_given", "subscription_changed",
)  # fmt: skip
"""The vocabulary: what can happen between a customer and a brand, in the contract's order."""


class Kind(StrEnum):
    """What a declaration is about; names are unique within one kind."""

    SOURCE = "source"
    TOUCHPOINT_TYPE = "touchpoint_type"
    ATTRIBUTE = "attribute"


class AttributeType(StrEnum):
    """Type of an attribute's value. None of them holds free text."""

    FLAG = "flag"
    INTEGER = "integer"
    CODE = "code"
    TIME = "time"
    AMOUNT = "amount"


@dataclass(frozen=True, slots=True)
class SourceTerms:
    """A source of records and touchpoints.

    Attributes:
        purpose_id: The purpose its records are collected for; the gate is asked for each.
        data_category: Category of the data, for the gate; empty for the rule of all categories.
    """

    purpose_id: str
    data_category: str = ""


@dataclass(frozen=True, slots=True)
class TypeTerms:
    """A type of touchpoint.

    Attributes:
        purpose_ids: Purposes it may be kept for, the gate permitting.
        bare_purpose_ids: Those of them that need no more than what happened and when.
        data_category: Category of the data, for the gate; empty for the rule of all categories.
        link_purpose_id: The purpose that must be permitted before a device or cookie is linked to a known person;
            empty: never linked.
    """

    purpose_ids: tuple[str, ...]
    bare_purpose_ids: frozenset[str] = frozenset()
    data_category: str = ""
    link_purpose_id: str = ""


@dataclass(frozen=True, slots=True)
class AttributeTerms:
    """An attribute of touchpoints.

    Attributes:
        type: Type of its value.
        data_category: Category of the data.
        codes: The values it may have, where it is a code.
    """

    type: AttributeType
    data_category: str
    codes: frozenset[str] = frozenset()


Terms = SourceTerms | TypeTerms | AttributeTerms
"""What a declaration says. Immutable once drafted; a change is a new version."""

_KINDS: Final[Mapping[type[Terms], Kind]] = {
    SourceTerms: Kind.SOURCE,
    TypeTerms: Kind.TOUCHPOINT_TYPE,
    AttributeTerms: Kind.ATTRIBUTE,
}
_TermsT = TypeVar("_TermsT", SourceTerms, TypeTerms, AttributeTerms)


def kind_of(terms: Terms) -> Kind:
    """Return what a declaration with these terms is about."""
    return _KINDS[type(terms)]


@dataclass(frozen=True, slots=True)
class InForce:
    """An activated version of a declaration: from when on it holds, and what it says."""

    kind: Kind
    name: str
    version: int
    active_from: datetime
    terms: Terms


@dataclass(frozen=True, slots=True)
class Declared:
    """All that is declared at one time, by name."""

    sources: Mapping[str, SourceTerms] = field(default_factory=dict)
    types: Mapping[str, TypeTerms] = field(default_factory=dict)
    attributes: Mapping[str, AttributeTerms] = field(default_factory=dict)


def declared_at(versions: Iterable[InForce], at: datetime) -> Declared:
    """Return what is declared at a time: of each name the version whose time came last, of two the higher."""
    latest: dict[tuple[Kind, str], InForce] = {}
    for version in sorted(versions, key=lambda each: (each.active_from, each.version)):
        if version.active_from <= at:
            latest[version.kind, version.name] = version
    return Declared(_of(latest, SourceTerms), _of(latest, TypeTerms), _of(latest, AttributeTerms))


def _of(latest: Mapping[tuple[Kind, str], InForce], terms: type[_TermsT]) -> dict[str, _TermsT]:
    return {name: each.terms for (_, name), each in latest.items() if isinstance(each.terms, terms)}


def validate_terms(name: str, terms: Terms, earlier: Sequence[Terms] = ()) -> None:
    """Check terms in themselves and against the earlier versions of the same declaration, drafts included.

    Raises:
        RapportError: TERMS_INVALID, with every field at fault.
    """
    violations = [FieldViolation(path, rule) for path, rule in _violations(name, terms, earlier)]
    if violations:
        raise ERRORS.error("TERMS_INVALID", violations[0].description, fields=violations)


def _violations(name: str, terms: Terms, earlier: Sequence[Terms]) -> Iterator[tuple[str, str]]:
    if isinstance(terms, SourceTerms):
        if name == SIGHTINGS:
            yield "name", "is the source of what touchpoints leave behind, which nobody else writes"
    elif isinstance(terms, TypeTerms):
        if name not in TYPES:
            yield "name", "must be a type of the vocabulary"
        if not terms.purpose_ids:
            yield "terms.touchpoint_type.purpose_ids", "must name a purpose"
        if not terms.bare_purpose_ids.issubset(terms.purpose_ids):
            yield "terms.touchpoint_type.bare_purpose_ids", "must be among the purposes"
    elif isinstance(terms, AttributeTerms):
        if "-" in name:
            yield "name", "the key of an attribute has no hyphen"
        if (terms.type is AttributeType.CODE) != bool(terms.codes):
            yield "terms.attribute.codes", "are declared for an attribute of type code, and for no other"
        if any(isinstance(other, AttributeTerms) and other.type is not terms.type for other in earlier):
            yield "terms.attribute.type", "must be the same in all versions"
