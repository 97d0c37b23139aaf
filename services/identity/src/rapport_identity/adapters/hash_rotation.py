"""Rotation of the hash keys without downtime: for a while two versions are in use, and rows go over one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.failpoints import failpoint
from rapport_chassis.key_folder import KeyFolderError
from rapport_chassis.telemetry.logs import get_logger

from rapport_identity.adapters import head
from rapport_identity.adapters.crypto import Hasher
from rapport_identity.adapters.held_records import named, opened
from rapport_identity.adapters.secret_keys import SecretKeys
from rapport_identity.adapters.vault import HashKeys, hashed_terms
from rapport_identity.app.ports import KeyStore
from rapport_identity.app.stored import SourceKey, Term

BATCH: Final = 50
"""Records that go over in one transaction: reading and hashing them takes the event loop some 10 ms."""

_LONGEST: Final = timedelta(minutes=5)
"""No write takes this long: what one that is under way wrote is dated no earlier than so long ago."""

# Locks the rows, so that a revision of one of them waits, or is found done. Those that somebody else holds are left
# out: to wait for them while holding others could be a deadlock. Each is met again, or keeps the old key in use.
_OLD: Final = """
SELECT record_no FROM records WHERE record_no > %s AND hash_version <> %s AND NOT erased
ORDER BY record_no LIMIT %s FOR UPDATE SKIP LOCKED
"""
_REHASH: Final = """
UPDATE records SET source_key = new.source_key, digest = new.digest, hash_version = %s
FROM unnest(%s::bigint[], %b::bytea[], %b::bytea[]) AS new (record_no, source_key, digest)
WHERE records.record_no = new.record_no
"""
_FORGET: Final = "DELETE FROM identifiers WHERE record_no = ANY (%s)"
_IDENTIFY: Final = "INSERT INTO identifiers SELECT * FROM unnest(%s::smallint[], %b::bytea[], %s::bigint[])"
_EVENTS_LEFT: Final = "SELECT EXISTS (SELECT FROM source_events WHERE hash_version <> %s)"
_RECORDS_LEFT: Final = "SELECT EXISTS (SELECT FROM records WHERE hash_version <> %s AND NOT erased)"
_LEFT_SINCE: Final = """
SELECT EXISTS (SELECT FROM records WHERE position > %(position)s AND hash_version <> %(active)s AND NOT erased)
    OR EXISTS (SELECT FROM source_events WHERE recorded_at >= %(recorded_at)s AND hash_version <> %(active)s)
"""


class Versions(NamedTuple):
    """The hash versions in use, the active one first, and since when."""

    numbers: tuple[int, ...]
    since: datetime


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
        self,
        database: Database,
        keys: KeyStore,
        secrets: SecretKeys,
        read: Callable[[bytes], tuple[SourceKey, tuple[Term, ...]]],
    ) -> None:
        self._database = database
        self._keys = keys
        self._secrets = secrets
        self._hash_keys = HashKeys(secrets)
        self._read = read

    async def versions(self) -> Versions:
        """Return the versions in use.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._database.transaction() as connection:
            return Versions((await head.read(connection)).hash_versions, await head.hashed_since(connection))

    def is_brought(self, versions: Versions) -> bool:
        """Whether the folder has an active key that is not in use yet: an operator or a cut-off `begin` left it."""
        return self._secrets.current().active > versions.numbers[0]

    async def begin(self) -> int:
        """Hash new rows under a new key from now on, find rows under both, and return the new key's version.

        A key that is active in the folder already is taken; without one, one is made.

        Raises:
            RapportError: NOT_READY.
            KeyFolderError: The folder of hash keys cannot be written.
        """
        version = self._secrets.current().active
        if not self.is_brought(await self.versions()):
            version = self._secrets.add(activate=True)
        async with self._database.transaction() as connection:
            held = await head.lock(connection)
            if version not in held.hash_versions:
                await head.use_hash_versions(connection, held, (version, *held.hash_versions))
        return version

    async def rehash(self, after: int = 0, limit: int = BATCH) -> int | None:
        """Take the next records over, in a short transaction.

        Args:
            after: Number of the last record of the batch before; 0 begins anew and skips what is done.
            limit: How many records to take.

        Returns:
            Number of the last record taken, None if there is none left that nobody else holds.

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
            KeyFolderError: The folder of hash keys cannot be written.
        """
        async with self._database.transaction() as connection:
            before = await head.read(connection)
            active = before.hash_versions[0]
            for statement in (_EVENTS_LEFT, _RECORDS_LEFT):
                if await _holds(connection, statement, (active,)):
                    return False
        async with self._database.transaction() as connection:
            # Held, so that nobody is about to write a row that was hashed before; so only what was written since the
            # long look above is looked at.
            held = await head.lock(connection)
            since = {"position": before.position, "recorded_at": before.recorded_at - _LONGEST, "active": active}
            if held.hash_versions[0] != active or await _holds(connection, _LEFT_SINCE, since):
                return False
            await head.use_hash_versions(connection, held, (active,))
        failpoint("hashes.finished")
        self.destroy_before(active)
        return True

    def destroy_before(self, version: int) -> None:
        """Destroy all keys older than one; nothing happens where there are none.

        Raises:
            KeyFolderError: The folder of hash keys cannot be written.
        """
        if old := [number for number in self._secrets.current().keys if number < version]:
            self._secrets.destroy(old)

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


class RotateHashes:
    """Begins a rotation when the hash key is old or an operator has brought a new one, and sees it through.

    Args:
        rotation: Does it.
        every: How old the key grows.
        clock: Says how old it is.
    """

    def __init__(self, rotation: HashRotation, every: timedelta, clock: Clock) -> None:
        self._rotation = rotation
        self._every = every
        self._clock = clock
        self._after = 0

    async def step(self) -> bool:
        """Do some of it, and return whether there is more that need not wait.

        Raises:
            RapportError: NOT_READY.
        """
        try:
            return await self._step()
        except KeyFolderError:
            get_logger().warning("hash_keys_not_rotated", component="hash-keys", reason="FOLDER_NOT_WRITABLE")
            return False

    async def _step(self) -> bool:
        versions = await self._rotation.versions()
        is_old = len(versions.numbers) == 1 and self._clock.now() - versions.since >= self._every
        if is_old or self._rotation.is_brought(versions):
            await self._rotation.begin()
            get_logger().info("hash_keys_rotating", component="hash-keys")
            return True
        if len(versions.numbers) == 1:
            self._rotation.destroy_before(versions.numbers[0])  # which a kill may have left
            return False
        taken = await self._rotation.rehash(self._after)
        self._after = taken or 0
        if taken is None and await self._rotation.finish():
            get_logger().info("hash_keys_rotated", component="hash-keys")
        return taken is not None


async def _holds(connection: Connection, statement: str, values: Sequence[Any] | Mapping[str, Any]) -> bool:
    row = await (await connection.execute(statement.encode(), values)).fetchone()
    return row is not None and bool(row[0])
