"""Rotation of the hash keys without downtime: for a while two versions are in use, and rows go over one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.failpoints import failpoint

from rapport_identity.adapters import head
from rapport_identity.adapters.crypto import Hasher
from rapport_identity.adapters.records import named, opened
from rapport_identity.adapters.secret_keys import SecretKeys
from rapport_identity.adapters.vault import HashKeys, hashed_terms
from rapport_identity.app.ports import KeyStore
from rapport_identity.app.stored import SourceKey, Term

BATCH: Final = 500

# Locks the rows, so that a revision of one of them waits, or is found done.
_OLD: Final = """
SELECT record_no FROM records WHERE record_no > %s AND hash_version <> %s AND NOT erased
ORDER BY record_no LIMIT %s FOR UPDATE
"""
_REHASH: Final = """
UPDATE records SET source_key = new.source_key, digest = new.digest, hash_version = %s
FROM unnest(%s::bigint[], %b::bytea[], %b::bytea[]) AS new (record_no, source_key, digest)
WHERE records.record_no = new.record_no
"""
_FORGET: Final = "DELETE FROM identifiers WHERE record_no = ANY (%s)"
_IDENTIFY: Final = "INSERT INTO identifiers SELECT * FROM unnest(%s::smallint[], %b::bytea[], %s::bigint[])"
_LEFT: Final = """
SELECT EXISTS (SELECT FROM records WHERE hash_version <> %(active)s AND NOT erased)
    OR EXISTS (SELECT FROM source_events WHERE hash_version <> %(active)s)
"""


class Readable(NamedTuple):
    """What a payload says of how its record is found."""

    key: SourceKey
    terms: tuple[Term, ...]


class HashRotation:
    """Takes the rows from one hash key to the next.

    `begin`, `rehash` until it returns None, `finish`: each may be cut off, repeated, and be called by several at once.

    Args:
        database: Where the records are.
        keys: Where their keys are.
        secrets: The folder of hash keys.
        read: Says how a payload's record is found.
    """

    def __init__(
        self, database: Database, keys: KeyStore, secrets: SecretKeys, read: Callable[[bytes], Readable]
    ) -> None:
        self._database = database
        self._keys = keys
        self._secrets = secrets
        self._hash_keys = HashKeys(secrets)
        self._read = read

    async def begin(self) -> int:
        """Hash new rows under a new key from now on, find rows under both, and return the new key's version.

        Raises:
            RapportError: NOT_READY.
            SecretKeyError: The folder of hash keys cannot be written.
        """
        version = self._secrets.add(activate=True)
        async with self._database.transaction() as connection:
            versions = (await head.lock(connection)).hash_versions
            if version not in versions:
                await head.use_hash_versions(connection, (version, *versions))
        return version

    async def rehash(self, after: int = 0, limit: int = BATCH) -> int | None:
        """Take the next records over, in a short transaction.

        Args:
            after: Number of the last record of the batch before; 0 begins anew and skips what is done.
            limit: How many records to take.

        Returns:
            Number of the last record taken, None if there is none left.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._database.transaction() as connection:
            hasher = self._hash_keys.hasher((await head.read(connection)).hash_versions)
            rows = await (await connection.execute(_OLD, (after, hasher.active, limit))).fetchall()
            if not rows:
                return None
            await self._take_over(connection, hasher, [number for (number,) in rows])
        failpoint("hashes.taken_over")
        return int(rows[-1][0])

    async def finish(self) -> bool:
        """Destroy the old key and return True; False while rows are hashed under it.

        Events of sources cannot be hashed again, since nothing of them is kept: those under the old key must have been
        swept first. So a rotation takes as long as events are remembered.

        Raises:
            RapportError: NOT_READY.
            SecretKeyError: The folder of hash keys cannot be written.
        """
        async with self._database.transaction() as connection:
            # Held, so that nobody is about to write a row that was hashed before.
            active = (await head.lock(connection)).hash_versions[0]
            row = await (await connection.execute(_LEFT, {"active": active})).fetchone()
            if row is None or row[0]:
                return False
            await head.use_hash_versions(connection, (active,))
        failpoint("hashes.finished")
        self._secrets.destroy([number for number in self._secrets.current().keys if number < active])
        return True

    async def _take_over(self, connection: Connection, hasher: Hasher, numbers: list[int]) -> None:
        # One whose key is destroyed cannot be read: its erasure is under way and takes the row with it.
        held = [each for each in await opened(await named(connection, numbers), self._keys) if each.payload is not None]
        identifiers: list[tuple[int, bytes, int]] = []
        rows: list[tuple[int, bytes, bytes]] = []
        for each in held:
            payload = each.payload or b""
            key, terms = self._read(payload)
            rows.append((each.record_no, hasher.source_key(*key), hasher.digest(payload)))
            identifiers += [(kind, hash_, each.record_no) for kind, hash_ in hashed_terms(terms, hasher)]
        if not rows:
            return
        record_nos, source_keys, digests = (list(column) for column in zip(*rows, strict=True))
        await connection.execute(_REHASH, (hasher.active, record_nos, source_keys, digests))
        await connection.execute(_FORGET, (record_nos,))
        if identifiers:
            await connection.execute(_IDENTIFY, [list(column) for column in zip(*identifiers, strict=True)])
