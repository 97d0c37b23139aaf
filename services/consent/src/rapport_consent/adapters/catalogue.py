"""Purposes as read from their authored versions, kept until a ledger row about a purpose outdates them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from rapport.consent.v1 import purpose_pb2
from rapport_chassis.database.pool import Connection

from rapport_consent.app.catalogue import Catalogue
from rapport_consent.domain.purposes import Purpose, PurposeTerms, PurposeVersion
from rapport_consent.translate import terms_of

KIND: Final = "purpose"

_POSITION: Final = "SELECT purposes_at FROM ledger_head"
_VERSIONS: Final = """
SELECT id, version, body, active_from, retired_from FROM authored_versions
WHERE kind = 'purpose' AND state <> 'draft' ORDER BY id, active_from, version
"""


class CatalogueCache:
    """The catalogue of one process."""

    def __init__(self) -> None:
        self._catalogue: Catalogue | None = None
        self._terms: dict[tuple[str, int], PurposeTerms] = {}

    async def read(self, connection: Connection) -> Catalogue:
        """Return the catalogue as it is now."""
        row = await (await connection.execute(_POSITION)).fetchone()
        return await self.at(connection, row[0] if row else 0)

    async def at(self, connection: Connection, position: int) -> Catalogue:
        """Return the catalogue as of the last ledger row about a purpose, whose position the caller has just read."""
        if self._catalogue is None or self._catalogue.position != position:
            rows = await (await connection.execute(_VERSIONS)).fetchall()
            self._catalogue = Catalogue(self._purposes(rows), position)
        return self._catalogue

    def _purposes(self, rows: list[tuple[Any, ...]]) -> dict[str, Purpose]:
        versions: dict[str, list[PurposeVersion]] = {}
        latest_retired: dict[str, bool] = {}
        for purpose_id, version, body, active_from, retired_from in rows:
            terms = self._parsed(purpose_id, version, body)
            versions.setdefault(purpose_id, []).append(PurposeVersion(version, active_from, terms))
            latest_retired[purpose_id] = _is_retired(retired_from)
        return {i: Purpose(i, tuple(each), retired=latest_retired[i]) for i, each in versions.items()}

    def _parsed(self, purpose_id: str, version: int, body: bytes) -> PurposeTerms:
        terms = self._terms.get((purpose_id, version))
        if terms is None:
            terms = terms_of(purpose_pb2.PurposeTerms.FromString(body))
            self._terms[purpose_id, version] = terms
        return terms


def _is_retired(retired_from: datetime | None) -> bool:
    return retired_from is not None
