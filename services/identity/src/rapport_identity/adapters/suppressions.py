"""What must not come back of erased people: keyed hashes under a key of their own, which the key store keeps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from rapport_chassis.database.pool import Connection

from rapport_identity.adapters.crypto import Hasher
from rapport_identity.adapters.key_store import PostgresKeyStore
from rapport_identity.adapters.resolving import ResolvingUnit
from rapport_identity.app.facts import RawTouchpoint
from rapport_identity.app.stored import SourceKey, Submission
from rapport_identity.app.units import Unit
from rapport_identity.domain.sightings import Normal
from rapport_identity.domain.suppression import Suppressed, is_blocked
from rapport_identity.translate.records import content_of

KEY_ID: Final = b"rapport:suppress"
"""The key of these hashes in the key store."""

_RECORD: Final = "record"
_IDENTIFIER: Final = "identifier"
_SWEEP_ROWS: Final = 1000

_ADD: Final = """
INSERT INTO suppressions (kind, hash, content, erased_at)
SELECT kind, hash, content, %s FROM unnest(%s::text[], %b::bytea[], %b::bytea[]) AS new (kind, hash, content)
ON CONFLICT (kind, hash) DO UPDATE SET content = excluded.content, erased_at = excluded.erased_at
"""
_FIND: Final = """
SELECT kind, hash, content, erased_at FROM suppressions
WHERE (kind, hash) IN (SELECT * FROM unnest(%s::text[], %b::bytea[]))
"""
_SWEEP: Final = """
DELETE FROM suppressions WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM suppressions WHERE erased_at < %s ORDER BY erased_at LIMIT %s))
"""

Place = tuple[str, bytes]
"""Kind and hash."""


class Suppressions:
    """The `SuppressionList` in PostgreSQL.

    Args:
        keys: Where its key is.
    """

    def __init__(self, keys: PostgresKeyStore) -> None:
        self._keys = keys
        self._hasher: Hasher | None = None

    async def add(
        self,
        connection: Connection,
        erased_at: datetime,
        records: Iterable[tuple[SourceKey, bytes]],
        identifiers: Iterable[Normal],
    ) -> int:
        """Remember what must not come back, and return how many entries that is.

        Args:
            connection: In the transaction of the erasure.
            erased_at: When that is.
            records: What sources call the records, and what these say.
            identifiers: Identifiers that nobody else holds.

        Raises:
            RapportError: NOT_READY.
        """
        hasher = await self._own()
        entries: dict[Place, bytes] = {_record(hasher, key): _content(hasher, payload) for key, payload in records}
        entries |= {_identifier(hasher, each): b"" for each in identifiers}
        kinds, hashes = [kind for kind, _ in entries], [each for _, each in entries]
        await connection.execute(_ADD, (erased_at, kinds, hashes, list(entries.values())))
        return len(entries)

    async def blocked_records(self, unit: Unit, submissions: Sequence[Submission]) -> set[int]:
        """Return the places of records that must not come back.

        Raises:
            RapportError: NOT_READY.
        """
        hasher = await self._own()
        names = [_record(hasher, each.draft.key) for each in submissions]
        held = [[_identifier(hasher, normal) for normal in each.identifiers] for each in submissions]
        found = await _find(unit, {*names, *(place for places in held for place in places)})
        if not found:
            return set()
        return {
            at
            for at, (each, name, places) in enumerate(zip(submissions, names, held, strict=True))
            if is_blocked(
                name=found.get(name),
                identifiers=[found[place] for place in places if place in found],
                occurred_at=each.draft.occurred_at if each.dated else None,
                content=_content(hasher, each.draft.payload) if name in found else b"",
            )
        }

    async def blocked_touchpoints(self, unit: Unit, touchpoints: Sequence[RawTouchpoint]) -> set[int]:
        """Return the places of touchpoints that must not come back.

        Raises:
            RapportError: NOT_READY.
        """
        hasher = await self._own()
        held = [[_identifier(hasher, one.normal) for one in each.identifiers] for each in touchpoints]
        found = await _find(unit, {place for places in held for place in places})
        return {
            at
            for at, (each, places) in enumerate(zip(touchpoints, held, strict=True))
            if is_blocked(
                name=None,
                identifiers=[found[place] for place in places if place in found],
                occurred_at=each.touchpoint.occurred_at,
                content=b"",
            )
        }

    async def _own(self) -> Hasher:
        if self._hasher is None:
            self._hasher = Hasher(1, {1: await self._keys.lasting(KEY_ID)})
        return self._hasher


def sweep_after(kept: timedelta) -> Callable[[Connection, datetime], Awaitable[int]]:
    """Return the sweep that forgets what was erased so long ago that nothing of before is sent any more."""

    async def forget(connection: Connection, now: datetime) -> int:
        return (await connection.execute(_SWEEP, (now - kept, _SWEEP_ROWS))).rowcount

    return forget


async def _find(unit: Unit, places: Collection[Place]) -> dict[Place, Suppressed]:
    assert isinstance(unit, ResolvingUnit)
    if not places:
        return {}
    wanted = [kind for kind, _ in places], [each for _, each in places]
    rows = await (await unit.connection.execute(_FIND, wanted, binary=True)).fetchall()
    return {(kind, bytes(each)): Suppressed(erased_at, bytes(content)) for kind, each, content, erased_at in rows}


def _record(hasher: Hasher, key: SourceKey) -> Place:
    return _RECORD, hasher.source_key(*key)


def _identifier(hasher: Hasher, normal: Normal) -> Place:
    column, value = normal
    return _IDENTIFIER, hasher.source_key(column, value)


def _content(hasher: Hasher, payload: bytes) -> bytes:
    return hasher.digest(content_of(payload))
