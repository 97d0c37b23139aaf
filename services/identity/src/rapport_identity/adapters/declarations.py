"""Declarations as authored versions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from rapport_chassis.authored import AuthoredStore, VersionState
from rapport_chassis.database.pool import Connection

from rapport_identity.adapters.resolving import ResolvingUnit
from rapport_identity.app.declarations import Declaration, Place
from rapport_identity.app.units import Unit
from rapport_identity.domain.declarations import InForce, Kind, Terms, kind_of
from rapport_identity.translate.declarations import declaration_of, terms_body, terms_in

_MOST_VERSIONS: Final = 10_000
_KINDS: Final = [kind.value for kind in Kind]
_STORES: Final = {kind: AuthoredStore(kind.value) for kind in Kind}

_ACTIVE: Final = """
SELECT kind, id, version, active_from, body FROM authored_versions WHERE kind = ANY (%s) AND state = 'active'
"""


class DeclarationVersions:
    """`Versions`, within a transaction.

    Args:
        connection: The transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def terms(self, kind: Kind, name: str) -> list[Terms]:
        """Return the terms of every version, drafts included, oldest first."""
        versions = await _STORES[kind].list(self._connection, thing_id=name, limit=_MOST_VERSIONS)
        return [terms_in(version.body) for version in versions]

    async def draft(self, name: str, terms: Terms, *, actor: str, now: datetime) -> Declaration:
        """Add a version, without effect yet. Drafts of one name at the same time wait for one another."""
        store = _STORES[kind_of(terms)]
        return declaration_of(await store.draft(self._connection, name, terms_body(terms), actor=actor, now=now))

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
        return declaration_of(
            await _STORES[kind].activate(
                self._connection, name, version, actor=actor, reason=reason, now=now, active_from=active_from
            )
        )

    async def retire(self, kind: Kind, name: str, *, actor: str, reason: str, now: datetime) -> Declaration:
        """Take every version out of force and return the latest of them.

        Raises:
            RapportError: VERSION_NOT_FOUND, VERSION_STATE_INVALID.
        """
        retired = await _STORES[kind].retire(self._connection, name, actor=actor, reason=reason, now=now)
        return declaration_of(retired[-1])

    async def page(
        self, kind: Kind | None, state: VersionState | None, after: Place | None, limit: int
    ) -> list[Declaration]:
        """Return versions by kind, name and version, those after a place."""
        found: list[Declaration] = []
        kinds = list(Kind) if kind is None else [kind]
        for each in kinds[kinds.index(after.kind) if after is not None else 0 :]:
            begin = (after.name, after.version) if after is not None and after.kind is each else ("", 0)
            versions = await _STORES[each].list(
                self._connection, state=state or "", after=begin, limit=limit - len(found)
            )
            found += map(declaration_of, versions)
            if len(found) == limit:
                break
        return found


def versions_in(unit: Unit) -> DeclarationVersions:
    """Return the declarations in a transaction on the partition."""
    return DeclarationVersions(connection_of(unit))


class DecidedDeclarations:
    """`Decided`."""

    def mark(self, unit: Unit) -> tuple[int, ...]:
        """Return what differs whenever something was activated or retired since; the partition is locked."""
        assert isinstance(unit, ResolvingUnit)
        return unit.declared

    async def active(self, unit: Unit) -> Sequence[InForce]:
        """Return every version that is active, those whose time is to come too."""
        rows = await (await connection_of(unit).execute(_ACTIVE, (_KINDS,))).fetchall()
        return [
            InForce(Kind(kind), name, version, active_from.astimezone(UTC), terms_in(body))
            for kind, name, version, active_from, body in rows
        ]


def connection_of(unit: Unit) -> Connection:
    """Return the connection of a transaction on the partition."""
    assert isinstance(unit, ResolvingUnit)
    return unit.connection
