"""Purposes as authored versions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rapport.consent.v1 import purpose_pb2
from rapport_chassis.authored import AuthoredStore, Version, VersionState
from rapport_chassis.database.pool import Connection

from rapport_consent.adapters.catalogue import KIND as PURPOSE
from rapport_consent.adapters.catalogue import read_purpose
from rapport_consent.domain.purposes import Purpose, PurposeTerms
from rapport_consent.translate.purposes import terms_message, terms_of

_MOST_VERSIONS = 10_000


class PurposeVersions:
    """Versions of purposes, within a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._store = AuthoredStore(PURPOSE)

    async def draft(self, purpose_id: str, terms: PurposeTerms, *, actor: str, now: datetime) -> Version:
        """Add a version, without effect yet."""
        body = terms_message(terms).SerializeToString(deterministic=True)
        return await self._store.draft(self._connection, purpose_id, body, actor=actor, now=now)

    async def terms(self, purpose_id: str) -> list[PurposeTerms]:
        """Return the terms of every version, drafts included, oldest first."""
        versions = await self._store.list(self._connection, thing_id=purpose_id, limit=_MOST_VERSIONS)
        return [terms_of(purpose_pb2.PurposeTerms.FromString(version.body)) for version in versions]

    async def activate(
        self, purpose_id: str, version: int, *, active_from: datetime | None, actor: str, reason: str, now: datetime
    ) -> Version:
        """Put a drafted version in force from a time on.

        Raises:
            RapportError: VERSION_NOT_FOUND, VERSION_STATE_INVALID, INVALID_REQUEST.
        """
        return await self._store.activate(
            self._connection, purpose_id, version, actor=actor, reason=reason, now=now, active_from=active_from
        )

    async def retire(self, purpose_id: str, *, actor: str, reason: str, now: datetime) -> Version:
        """Take every version out of force and return the latest of them.

        Raises:
            RapportError: VERSION_NOT_FOUND, VERSION_STATE_INVALID.
        """
        retired = await self._store.retire(self._connection, purpose_id, actor=actor, reason=reason, now=now)
        return retired[-1]

    async def purpose(self, purpose_id: str) -> Purpose:
        """Return a purpose as this transaction leaves it."""
        return await read_purpose(self._connection, purpose_id)

    async def page(
        self, purpose_id: str, state: VersionState | None, after: tuple[str, int], limit: int
    ) -> Sequence[Version]:
        """Return versions by purpose and version, those after the given one."""
        return await self._store.list(
            self._connection, thing_id=purpose_id, state=state or "", after=after, limit=limit
        )
