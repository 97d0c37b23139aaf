"""The key store in PostgreSQL: data keys wrapped under an epoch key, which lies in a folder and is destroyed in turn.

Rotation re-wraps every key under a new epoch key and destroys the old one, so that a backup of this database older than
the last rotation opens nothing: what was erased before it is gone from the backups too.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Final

from psycopg import errors
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.failpoints import failpoint
from rapport_chassis.signing import SigningKeys

from rapport_identity.adapters.crypto import DATA_KEY_BYTES, KEY_ID_BYTES, UnreadableError, unwrap, wrap
from rapport_identity.adapters.secret_keys import SecretKeys
from rapport_identity.app.ports import DataKey

REWRAP_BATCH: Final = 1000

_ATTEMPTS: Final = 3
# An epoch that ended does not come back: a process that has not seen its successor yet is refused.
_EPOCH: Final = """
INSERT INTO epochs (epoch) SELECT %(epoch)s WHERE NOT EXISTS (SELECT FROM epochs WHERE epoch >= %(epoch)s)
ON CONFLICT DO NOTHING
"""
_INSERT: Final = "INSERT INTO record_keys (key_id, wrapped, epoch) SELECT *, %s FROM unnest(%b::bytea[], %b::bytea[])"
_INSERT_LASTING: Final = """
INSERT INTO record_keys (key_id, wrapped, epoch, created_at) VALUES (%b, %b, %s, '-infinity') ON CONFLICT DO NOTHING
"""
_GET: Final = "SELECT key_id, wrapped, epoch FROM record_keys WHERE key_id = ANY (%b::bytea[])"
_DESTROY: Final = "DELETE FROM record_keys WHERE key_id = ANY (%b::bytea[])"
_DESTROYED: Final = """
INSERT INTO destructions (request_id, destroyed_at, keys, digest, kid, signature) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
_CREATED: Final = """
SELECT key_id FROM record_keys WHERE created_at >= %s AND created_at < %s AND key_id > %b ORDER BY key_id LIMIT %s
"""
# Rows that somebody else holds are met again, or keep the epoch from ending.
_OLD: Final = "SELECT key_id, wrapped, epoch FROM record_keys WHERE epoch = ANY (%s) LIMIT %s FOR UPDATE SKIP LOCKED"
_REWRAP: Final = """
UPDATE record_keys SET wrapped = fresh.wrapped, epoch = %s
FROM unnest(%b::bytea[], %b::bytea[]) AS fresh (key_id, wrapped) WHERE record_keys.key_id = fresh.key_id
"""
_BEGUN: Final = "SELECT max(begun_at) FROM epochs"
_END: Final = "DELETE FROM epochs WHERE epoch = ANY (%s)"


class PostgresKeyStore:
    """A `KeyStore`.

    Args:
        database: The key store's own database.
        epoch_keys: The folder of epoch keys.
    """

    def __init__(self, database: Database, epoch_keys: SecretKeys) -> None:
        self._database = database
        self._epoch_keys = epoch_keys

    async def create(self, count: int) -> list[DataKey]:
        """Return so many fresh keys, durable when this returns."""
        ids, secrets = os.urandom(KEY_ID_BYTES * count), os.urandom(DATA_KEY_BYTES * count)
        keys = [
            DataKey(
                ids[number * KEY_ID_BYTES : (number + 1) * KEY_ID_BYTES],
                secrets[number * DATA_KEY_BYTES : (number + 1) * DATA_KEY_BYTES],
            )
            for number in range(count)
        ]
        await self._insert(keys)
        failpoint("keys.created")
        return keys

    async def lasting(self, key_id: bytes) -> bytes:
        """Return a key that belongs to no record: made when it is first asked for, re-wrapped as all are, never swept.

        Args:
            key_id: 16 bytes that name it, chosen by the caller.

        Raises:
            RapportError: NOT_READY.
        """
        while not (found := await self.get([key_id])):
            await self._insert([DataKey(key_id, os.urandom(DATA_KEY_BYTES))], lasting=True)
        return found[key_id]

    async def get(self, key_ids: Collection[bytes]) -> Mapping[bytes, bytes]:
        """Return the secrets by key id; a key that is absent from the answer was destroyed."""
        async with self._database.transaction() as connection, connection.cursor(binary=True) as cursor:
            await cursor.execute(_GET, (list(key_ids),))
            rows = await cursor.fetchall()
        epochs = self._epoch_keys.current().keys
        try:
            return {key_id: unwrap(epochs[epoch], wrapped) for key_id, wrapped, epoch in rows}
        except (KeyError, UnreadableError):
            raise _not_here() from None

    async def destroy(self, key_ids: Collection[bytes]) -> int:
        """Destroy keys and return how many there were; repeating it does no harm."""
        async with self._database.transaction() as connection:
            return (await connection.execute(_DESTROY, (list(key_ids),))).rowcount

    async def destroy_for(self, request_id: str, key_ids: Collection[bytes], keys: SigningKeys, now: datetime) -> None:
        """Destroy keys because of a privacy request, and keep a signed entry of it; repeating it does no harm.

        The signature is over the request's id, the time in ISO 8601, the number of keys and the digest in hexadecimal,
        with a line feed after each.

        Raises:
            RapportError: NOT_READY.
        """
        digest = sha256(b"".join(sorted(key_ids))).digest()
        said = f"{request_id}\n{now.isoformat()}\n{len(key_ids)}\n{digest.hex()}\n"
        kid, signature = keys.sign(said.encode())
        async with self._database.transaction() as connection:
            await connection.execute(_DESTROY, (list(key_ids),))
            await connection.execute(_DESTROYED, (request_id, now, len(key_ids), digest, kid, signature))

    async def created_between(self, since: datetime, until: datetime, after: bytes, limit: int) -> list[bytes]:
        """Return ids of keys created from `since` until before `until`, in order, from the one after `after` on."""
        async with self._database.transaction() as connection:
            rows = await connection.execute(_CREATED, (since, until, after, limit))
            return [key_id for (key_id,) in await rows.fetchall()]

    async def epoch_begun_at(self) -> datetime | None:
        """Return since when keys are wrapped under the present epoch key; None before there is any.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._database.transaction() as connection:
            row = await (await connection.execute(_BEGUN)).fetchone()
            return row[0] if row else None

    async def rotate_epoch(self) -> int:
        """Re-wrap all keys under a new epoch key, destroy the one before, and return how many were re-wrapped.

        In short transactions, while keys are created, read and destroyed. One that is cut off is gone on with by the
        next call, whoever makes it; two at once share the work. Due every 30 days at the latest.

        Raises:
            RapportError: NOT_READY.
            KeyFolderError: The folder of epoch keys cannot be written.
        """
        active = self._epoch_keys.add(activate=True)
        await self._begin_epoch()
        rewrapped = 0
        while True:
            old = [number for number in self._epoch_keys.current().keys if number != active]
            while count := await self._rewrap(old, active):
                rewrapped += count
                failpoint("keys.rewrapped")
            try:
                async with self._database.transaction() as connection:
                    await connection.execute(_END, (old,))
                break
            except errors.ForeignKeyViolation:
                continue  # somebody who had not seen the new key yet has just created one under the old
        failpoint("keys.epoch_ended")
        self._epoch_keys.destroy(old)
        return rewrapped

    async def _insert(self, keys: list[DataKey], *, lasting: bool = False) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            ring = self._epoch_keys.current()
            wrapped = [wrap(ring.keys[ring.active], key.secret) for key in keys]
            try:
                async with self._database.transaction() as connection:
                    if lasting:
                        rows = [(key.key_id, each, ring.active) for key, each in zip(keys, wrapped, strict=True)]
                        await connection.cursor().executemany(_INSERT_LASTING, rows)
                    else:
                        await connection.execute(_INSERT, (ring.active, [key.key_id for key in keys], wrapped))
                return
            except errors.ForeignKeyViolation:
                # The epoch is not known there yet, or ended since it was looked up: its key is destroyed, or soon is.
                if attempt == _ATTEMPTS:
                    raise _not_here() from None
                await self._begin_epoch()

    async def _begin_epoch(self) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(_EPOCH, {"epoch": self._epoch_keys.current().active})

    async def _rewrap(self, old: list[int], active: int) -> int:
        epochs = self._epoch_keys.current().keys
        async with self._database.transaction() as connection:
            rows = await (await connection.execute(_OLD, (old, REWRAP_BATCH))).fetchall()
            try:
                fresh = [wrap(epochs[active], unwrap(epochs[epoch], wrapped)) for _, wrapped, epoch in rows]
            except (KeyError, UnreadableError):
                raise _not_here() from None
            await connection.execute(_REWRAP, (active, [key_id for key_id, _, _ in rows], fresh))
        return len(rows)


def _not_here() -> Exception:
    return CHASSIS_ERRORS.error("NOT_READY", "an epoch key that is needed is not in the folder of this process")
