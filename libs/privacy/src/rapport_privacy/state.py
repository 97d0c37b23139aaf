"""What a gate knows: the state of a subject and the terms of a purpose, free of wire formats."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

Key = tuple[str, str]
"""A purpose (or the class of direct marketing) and a brand; the brand is empty for all."""


class KeyState(NamedTuple):
    """The decision in force for one key. Enum fields are plain numbers: a newer ledger may send unknown ones."""

    status: int
    evidence: int = 0
    expires_at: datetime | None = None
    decided_at: datetime | None = None
    reference: str = ""
    notice_id: str = ""
    notice_version: int = 0
    granting_ids: tuple[str, ...] = ()
    reask_not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Restriction:
    """Processing restricted to storage (GDPR Article 18)."""

    ground: str
    since: datetime | None = None


class Subject(NamedTuple):
    """A profile with what is in force for it. Every id that redirects to it shares this one object.

    Its states are never changed once others can see it: a change makes another subject.
    """

    profile_id: str
    redirect_ids: tuple[str, ...] = ()
    states: Mapping[Key, KeyState] = MappingProxyType({})
    restriction: Restriction | None = None


@dataclass(frozen=True, slots=True)
class BasisRule:
    """The basis of a purpose for one data category and market; empty names every one without a rule of its own."""

    data_category: str
    market: str
    basis: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What a version of a purpose means, as far as a decision looks at it."""

    bases: tuple[BasisRule, ...]
    brand_scoped: bool = False
    direct_marketing: bool = False
    separate: bool = False
    explicit: bool = False
    despite_restriction: bool = False
    brand_ids: frozenset[str] = frozenset()
    markets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PurposeRule:
    """One activated version of a purpose and the time from which it is in force."""

    version: int
    active_from: datetime
    terms: Terms


@dataclass(frozen=True, slots=True)
class Purpose:
    """Every activated version of a purpose, earliest first."""

    purpose_id: str
    rules: tuple[PurposeRule, ...]
    retired: bool = False


Purposes = Mapping[str, Purpose]
"""Purposes by id. Replaced as a whole, never changed in place."""
