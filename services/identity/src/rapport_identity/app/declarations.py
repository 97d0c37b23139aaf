"""Use cases: draft, activate and retire what may be collected, and know at any moment what that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from rapport_chassis.authored import VersionState

from rapport_identity.app.units import Unit
from rapport_identity.domain.declarations import Declared, InForce, Kind, Terms, declared_at, kind_of, validate_terms


@dataclass(frozen=True, slots=True)
class Declaration:
    """One version of a declaration.

    Attributes:
        name: Name of what is declared.
        version: Rises by one with each draft.
        state: Where this version stands.
        terms: What it says.
        active_from: From when an active version is in force.
        created_at: When it was drafted.
        decided_by: Who activated or retired it last; empty for nobody yet.
        reason: Why; empty for a draft.
    """

    name: str
    version: int
    state: VersionState
    terms: Terms
    active_from: datetime | None
    created_at: datetime
    decided_by: str
    reason: str


class Place(NamedTuple):
    """Where a page of declarations begins: after this version of this name of this kind."""

    kind: Kind
    name: str
    version: int


class Versions(Protocol):
    """Authored versions of declarations, in one transaction."""

    async def terms(self, kind: Kind, name: str) -> list[Terms]:
        """Return the terms of every version, drafts included, oldest first."""
        ...

    async def draft(self, name: str, terms: Terms, *, actor: str, now: datetime) -> Declaration:
        """Add a version, without effect yet. Drafts of one name at the same time wait for one another."""
        ...

    async def activate(
        self,
        kind: Kind,
        name: str,
        version: int,
        *,
        active_from: datetime | None,
        actor: str,
        reason: str,
        now: datetime,
    ) -> Declaration:
        """Put a drafted version in force from a time on.

        Raises:
            RapportError: VERSION_NOT_FOUND, VERSION_STATE_INVALID, INVALID_REQUEST.
        """
        ...

    async def retire(self, kind: Kind, name: str, *, actor: str, reason: str, now: datetime) -> Declaration:
        """Take every version out of force and return the latest of them.

        Raises:
            RapportError: VERSION_NOT_FOUND, VERSION_STATE_INVALID.
        """
        ...

    async def page(
        self, kind: Kind | None, state: VersionState | None, after: Place | None, limit: int
    ) -> list[Declaration]:
        """Return versions by kind, name and version, those after a place."""
        ...


async def draft(versions: Versions, name: str, terms: Terms, *, actor: str, now: datetime) -> Declaration:
    """Draft a version of a declaration; nothing changes until it is activated.

    Raises:
        RapportError: TERMS_INVALID.
    """
    validate_terms(name, terms, await versions.terms(kind_of(terms), name))
    return await versions.draft(name, terms, actor=actor, now=now)


class Decided(Protocol):
    """What was ever activated, and whether that is still all, as a transaction sees it."""

    def mark(self, unit: Unit) -> tuple[int, ...]:
        """Return what differs whenever something was activated or retired since; the partition is locked."""
        ...

    async def active(self, unit: Unit) -> Sequence[InForce]:
        """Return every version that is active, those whose time is to come too."""
        ...


class Registry:
    """What may be collected, as it is now: what another process activates is known to the next who asks.

    Args:
        decided: Where it is kept.
    """

    def __init__(self, decided: Decided) -> None:
        self._decided = decided
        self._mark: tuple[int, ...] | None = None
        self._versions: Sequence[InForce] = ()
        self._declared: Declared | None = None
        self._until: datetime | None = None

    async def declared(self, unit: Unit, now: datetime) -> Declared:
        """Return what is declared at this time.

        Raises:
            RapportError: NOT_READY.
        """
        mark = self._decided.mark(unit)
        if mark != self._mark:
            self._versions, self._mark, self._declared = await self._decided.active(unit), mark, None
        if self._declared is None or (self._until is not None and now >= self._until):
            self._declared = declared_at(self._versions, now)
            self._until = min((each.active_from for each in self._versions if each.active_from > now), default=None)
        return self._declared
