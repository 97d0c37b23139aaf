"""Records as they are written and found: values sealed, names and identifiers hashed. No key opens anything here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import CHASSIS_ERRORS

from rapport_identity.adapters.bulk import Change, Rows, Target, array
from rapport_identity.adapters.crypto import Hasher
from rapport_identity.adapters.head import Head
from rapport_identity.adapters.vault import SealedRecord
from rapport_identity.app.stored import KnownRecord, RecordDraft, SourceKey, Term

_RECORDS: Final = Rows(
    "records",
    (
        ("record_no", "int8"),
        ("record_id", "text"),
        ("source", "text"),
        ("source_key", "bytea"),
        ("profile_id", "text"),
        ("recorded_under", "text"),
        ("version", "int4"),
        ("key_id", "bytea"),
        ("hash_version", "int4"),
        ("value", "bytea"),
        ("digest", "bytea"),
        ("occurred_at", "timestamptz"),
        ("position", "int8"),
        ("recorded_at", "timestamptz"),
    ),
)
_IDENTIFIERS: Final = Rows("identifiers", (("kind", "int2"), ("hash", "bytea"), ("record_no", "int8")))

_NUMBERS: Final = "SELECT nextval('record_numbers') FROM generate_series(1, %s)"
_FIND: Final = """
SELECT source, source_key, record_no, record_id, profile_id, version, key_id, occurred_at, digest, hash_version
FROM records JOIN unnest(%s::text[], %s::bytea[]) AS wanted (source, source_key) USING (source, source_key)
UNION ALL SELECT NULL, NULL, nextval('record_numbers'), NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM generate_series(1, %s)
"""
_HOLDERS: Final = """
SELECT wanted.place, array_agg(DISTINCT record_no ORDER BY record_no)
FROM unnest(%s::int[], %s::smallint[], %b::bytea[]) AS wanted (place, kind, hash) JOIN identifiers USING (kind, hash)
GROUP BY wanted.place
"""
_REVISE: Final = """
UPDATE records SET version = new.version, value = new.value, source_key = new.source_key, digest = new.digest,
    hash_version = new.hash_version, occurred_at = new.occurred_at, position = %s, recorded_at = %s
FROM unnest(%s::bigint[], %s::int[], %b::bytea[], %b::bytea[], %b::bytea[], %s::int[], %s::timestamptz[])
    AS new (record_no, version, value, source_key, digest, hash_version, occurred_at)
WHERE records.record_no = new.record_no AND records.version = new.version - 1 AND NOT erased
"""
_ASSIGN: Final = """
UPDATE records SET profile_id = new.profile_id FROM unnest(%s::bigint[], %s::text[]) AS new (record_no, profile_id)
WHERE records.record_no = new.record_no
RETURNING 1
"""
_ERASE: Final = """
UPDATE records SET erased = true, source_key = NULL, key_id = NULL, value = NULL, digest = NULL, occurred_at = NULL,
    position = %s, recorded_at = %s
WHERE record_no = ANY (%s) AND NOT erased
"""
_FORGET: Final = "DELETE FROM identifiers WHERE record_no = ANY (%s)"
_UNTELL: Final = "DELETE FROM anniversaries WHERE record_no = ANY (%s)"
_KEY_IDS: Final = "SELECT key_id FROM records WHERE record_no = ANY (%s) AND NOT erased"


class Records:
    """The records, inside a transaction that somebody else commits.

    Args:
        connection: In the transaction.
        hasher: Hashes under every version in use.
    """

    def __init__(self, connection: Connection, hasher: Hasher) -> None:
        self._connection = connection
        self._hasher = hasher

    async def find(
        self, drafts: Sequence[RecordDraft], fresh: int = 0
    ) -> tuple[dict[SourceKey, KnownRecord], list[int]]:
        """Return those of the records that are known, and in the same trip so many numbers that no record ever had."""
        hashes: dict[tuple[str, bytes], RecordDraft] = {}
        for draft in drafts:
            for source_key in self._hasher.source_keys(*draft.key):
                hashes[draft.key.source, source_key] = draft
        wanted = array(source for source, _ in hashes), array(source_key for _, source_key in hashes)
        found: dict[SourceKey, KnownRecord] = {}
        numbers: list[int] = []
        for row in await self._rows(_FIND, (*wanted, fresh)):
            source, source_key, record_no, record_id, profile_id, version, key_id, occurred_at, digest, hashed = row
            if source is None:
                numbers.append(record_no)
                continue
            draft = hashes[source, source_key]
            unchanged = digest == self._hasher.digest(draft.payload, hashed)
            found[draft.key] = KnownRecord(record_no, record_id, profile_id, version, key_id, occurred_at, unchanged)
        return found, numbers

    async def holders(self, terms: Sequence[Term]) -> dict[Term, list[int]]:
        """Return the numbers of the records that hold each of the terms, in order."""
        places, kinds, hashes = [], [], []
        for place, term in enumerate(terms):
            for hash_ in self._hasher.terms(*term):
                places.append(place)
                kinds.append(term.kind)
                hashes.append(hash_)
        rows = await self._rows(_HOLDERS, (places, kinds, hashes))
        return {terms[place]: numbers for place, numbers in rows}

    async def numbers(self, count: int) -> list[int]:
        """Return so many numbers that no record ever had; they rise, with gaps."""
        return [number for (number,) in await self._rows(_NUMBERS, (count,))]

    async def add(
        self, head: Head, records: Sequence[tuple[int, str, SealedRecord]], into: Target | None = None
    ) -> None:
        """Write new records.

        Args:
            head: As this transaction holds it: the position is the next one.
            records: Each with its number and its profile.
            into: Where, if they are written together with something else.

        Raises:
            RapportError: NOT_READY: the hash key they were sealed with went out of use meanwhile; seal them again.
            psycopg.errors.UniqueViolation: A record of that name is there: it was not looked for under the lock.
        """
        self._check_hash_versions(head, [sealed for _, _, sealed in records])
        into = self._connection if into is None else into
        rows = [
            (
                number,
                sealed.record_id,
                sealed.source,
                sealed.source_key,
                profile_id,
                profile_id,
                sealed.version,
                sealed.key_id,
                sealed.hash_version,
                sealed.value,
                sealed.digest,
                sealed.occurred_at,
                head.position + 1,
                head.recorded_at,
            )
            for number, profile_id, sealed in records
        ]
        await _RECORDS.write(into, rows)
        await _write_identifiers(into, [(number, sealed) for number, _, sealed in records])

    async def revise(self, head: Head, records: Sequence[tuple[int, SealedRecord]]) -> None:
        """Write new versions of records.

        Args:
            head: As this transaction holds it: the position is the next one.
            records: Each with its number; its version is one more than the present one.

        Raises:
            RapportError: NOT_READY, as for `add`, or because one of them was revised or erased meanwhile.
        """
        self._check_hash_versions(head, [sealed for _, sealed in records])
        columns = [
            (each.version, each.value, each.source_key, each.digest, each.hash_version, each.occurred_at)
            for _, each in records
        ]
        values = [list(column) for column in zip(*columns, strict=True)]
        numbers = [number for number, _ in records]
        done = await self._connection.execute(_REVISE, (head.position + 1, head.recorded_at, numbers, *values))
        if done.rowcount != len(records):
            raise CHASSIS_ERRORS.error("NOT_READY", "a record was changed by somebody else meanwhile: repeat")
        await self._connection.execute(_FORGET, (numbers,))
        await _write_identifiers(self._connection, records)

    async def assign(self, profile_ids: Mapping[int, str], into: Target | None = None) -> None:
        """Say which profiles records belong to from now on, by record number; the moves tell of it.

        Raises:
            RuntimeError: One of them does not exist: a fault of the caller.
        """
        values = array(profile_ids), array(profile_ids.values())
        change = Change(_ASSIGN, values, len(profile_ids), "only a record that is there can be assigned")
        await change.write(self._connection if into is None else into)

    async def key_ids(self, record_nos: Collection[int]) -> list[bytes]:
        """Return the keys of these records, which are to be destroyed when the records are erased."""
        return [key_id for (key_id,) in await self._rows(_KEY_IDS, (list(record_nos),))]

    async def erase(self, head: Head, record_nos: Collection[int]) -> int:
        """Drop all that the records say, and return how many were not erased before.

        Their numbers stay, so that a replica still learns of it. Copies of the values in backups end with the keys,
        which the caller destroys first.
        """
        numbers = list(record_nos)
        await self._connection.execute(_FORGET, (numbers,))
        await self._connection.execute(_UNTELL, (numbers,))
        return (await self._connection.execute(_ERASE, (head.position + 1, head.recorded_at, numbers))).rowcount

    def _check_hash_versions(self, head: Head, records: Sequence[SealedRecord]) -> None:
        if not {sealed.hash_version for sealed in records} <= set(head.hash_versions):
            raise CHASSIS_ERRORS.error("NOT_READY", "the hash keys were rotated meanwhile: repeat")

    async def _rows(self, statement: Any, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        return await (await self._connection.execute(statement, values, binary=True)).fetchall()


async def _write_identifiers(into: Target, records: Sequence[tuple[int, SealedRecord]]) -> None:
    await _IDENTIFIERS.write(into, [(kind, hash_, no) for no, sealed in records for kind, hash_ in sealed.identifiers])
