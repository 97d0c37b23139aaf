"""Transactions on the partition: one per micro-batch, under one lock for each shard that it concerns.

Inside a transaction: first all that needs no lock (keys are created and records sealed before it begins), then the
shards are locked, candidates read and decisions taken, then the head is held, all is written at its next position, and
committed. READ COMMITTED: what is read after a lock is what earlier writers left.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final

from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.failpoints import failpoint

from rapport_identity.adapters import head
from rapport_identity.adapters.bulk import Target
from rapport_identity.adapters.crypto import Hasher
from rapport_identity.adapters.head import Head
from rapport_identity.adapters.records import Records
from rapport_identity.adapters.vault import HashKeys

_SHARDS: Final = (
    "SELECT pg_advisory_xact_lock(hashtextextended('rapport:partition', shard)) FROM unnest(%s::int[]) shard"
)


class PartitionUnit:
    """One transaction on the partition."""

    def __init__(self, connection: Connection, hash_keys: HashKeys) -> None:
        self.connection = connection
        self._hash_keys = hash_keys

    async def lock(self, shards: Collection[int] = (0,), *, hold: bool = False) -> Head:
        """Wait until nobody else writes in these shards, keep others out from now on, and return the head.

        What is at a position up to the head's is visible now and, for these shards, all there is.

        Args:
            shards: The shards.
            hold: Hold the head as well, as `hold` does, in the same trip to the server.
        """
        async with self.connection.pipeline():  # one trip to the server; the head is read once the lock is there
            # In order, so that two who want the same two do not deadlock.
            await self.connection.execute(_SHARDS, (sorted(shards),))
            at = await (self.hold() if hold else self.read())
        failpoint("partition.locked")
        return at

    async def read(self) -> Head:
        """Return the committed head."""
        return await head.read(self.connection)

    def hasher(self, at: Head) -> Hasher:
        """Return what hashes under the versions in use at this head.

        Raises:
            RapportError: NOT_READY: a hash key has not come to this process yet.
        """
        return self._hash_keys.hasher(at.hash_versions)

    def records(self, at: Head) -> Records:
        """Return the records, found under the hash versions in use at this head."""
        return Records(self.connection, self.hasher(at))

    async def hold(self) -> Head:
        """Hold the head: this transaction writes next, at the position after it."""
        return await head.lock(self.connection)

    async def advance(self, held: Head, into: Target | None = None) -> int:
        """Take the position after the head that this transaction holds, when all is written, and return it.

        Args:
            held: The head.
            into: Where, if it is written together with something else: say then when that is `written`.
        """
        await head.advance(self.connection if into is None else into, held.position + 1, held.recorded_at)
        if into is None:
            self.written()
        return held.position + 1

    def written(self) -> None:
        """Note that all is written, and only the COMMIT is left."""
        failpoint("partition.written")


class PartitionStore:
    """Opens transactions on the partition.

    Args:
        database: Where the partition is.
        hash_keys: The hash keys of this process.
    """

    def __init__(self, database: Database, hash_keys: HashKeys) -> None:
        self._database = database
        self._hash_keys = hash_keys

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[PartitionUnit]:
        """Give a transaction: committed at the end of the block, rolled back on an error."""
        async with self._database.transaction() as connection:
            yield self.unit_on(connection)

    def unit_on(self, connection: Connection) -> PartitionUnit:
        """Give a unit inside a transaction that somebody else commits, such as a consumer's."""
        return PartitionUnit(connection, self._hash_keys)

    async def hasher(self) -> Hasher:
        """Return the hasher that the last transaction here used, to seal records with before the next one begins.

        Where its key went out of use meanwhile, writing what was sealed with it is refused as NOT_READY.

        Raises:
            RapportError: NOT_READY.
        """
        if self._hash_keys.last is None:
            async with self.unit() as unit:
                return unit.hasher(await unit.read())
        return self._hash_keys.last
