"""Purposes as read from their authored versions, kept until a ledger row about a purpose outdates them."""

from __future__ import annotations

from typing import Any, Final

from rapport.consent.v1 import purpose_pb2
from rapport_chassis.database.pool import Connection

from rapport_consent.app.catalogue import Catalogue
from rapport_consent.domain.purposes import Purpose, PurposeVersion
from rapport_consent.translate.purposes import terms_of

KIND: Final = "purpose"

_POSITION: Final = "SELECT purposes_at FROM ledger_head"
_VERSIONS: Final = """
SELECT id, version, body, active_from, state = 'active' FROM authored_versions
WHERE kind = 'purpose' AND state <> 'draft' AND (retired_from IS NULL OR retired_from > active_from)
    AND (%(id)s = '' OR id = %(id)s)
ORDER BY id, active_from, version
"""


class CatalogueCache:
    """The catalogue of one process."""

    def __init__(self) -> None:
        self._catalogue: Catalogue | None = None

    async def read(self, connection: Connection) -> Catalogue:
        """Return the catalogue as it is now."""
        row = await (await connection.execute(_POSITION)).fetchone()
        return await self.at(connection, row[0] if row else 0)

    async def at(self, connection: Connection, position: int) -> Catalogue:
        """Return the catalogue as of the last ledger row about a purpose, whose position the caller has just read."""
        catalogue = self._catalogue
        if catalogue is None or catalogue.position != position:
            rows = await (await connection.execute(_VERSIONS, {"id": ""})).fetchall()
            catalogue = Catalogue(_purposes(rows), position)
            self._catalogue = catalogue
        return catalogue


async def read_purpose(connection: Connection, purpose_id: str) -> Purpose:
    """Return a purpose as the transaction leaves it, one without versions if none was ever in force."""
    rows = await (await connection.execute(_VERSIONS, {"id": purpose_id})).fetchall()
    return _purposes(rows).get(purpose_id, Purpose(purpose_id, retired=True))


def _purposes(rows: list[tuple[Any, ...]]) -> dict[str, Purpose]:
    """Purposes from their versions: the active ones, or where none is active any more the retired ones."""
    active: dict[str, list[PurposeVersion]] = {}
    retired: dict[str, list[PurposeVersion]] = {}
    for purpose_id, version, body, active_from, is_active in rows:
        terms = terms_of(purpose_pb2.PurposeTerms.FromString(body))
        versions = active if is_active else retired
        versions.setdefault(purpose_id, []).append(PurposeVersion(version, active_from, terms))
    gone = {i: Purpose(i, tuple(each), retired=True) for i, each in retired.items()}
    return gone | {i: Purpose(i, tuple(each)) for i, each in active.items()}
