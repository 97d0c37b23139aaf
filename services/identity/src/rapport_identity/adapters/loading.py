"""Reads all records in clear, in the order of their numbers: how a replica builds its index when it starts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final

from rapport_chassis.database.engine import Database

from rapport_identity.adapters.held_records import EncryptedRecord, after, opened
from rapport_identity.app.ports import KeyStore
from rapport_identity.app.stored import HeldRecord, IndexedRecord
from rapport_identity.translate.records import indexed_of

CHUNK: Final = 2000


class RecordLoader:
    """Reads records in chunks; the next chunk is on its way while one is decrypted and used.

    Args:
        database: Where the records are.
        keys: Where their keys are.
    """

    def __init__(self, database: Database, keys: KeyStore) -> None:
        self._database = database
        self._keys = keys

    async def everything(self) -> AsyncGenerator[list[HeldRecord], None]:
        """Yield all records that can be read, chunk by chunk.

        Each chunk is as of the moment it is read. Who reads the head first, and what changed since when all has been
        read, misses nothing.

        Raises:
            RapportError: NOT_READY.
            UnreadableError: A value does not fit its key and place: somebody changed it.
        """
        coming = asyncio.create_task(self._chunk(0))
        try:
            while chunk := await coming:
                coming = asyncio.create_task(self._chunk(chunk[-1].record_no))
                yield [each for each in await opened(chunk, self._keys) if each.payload is not None]
        finally:
            coming.cancel()
            await asyncio.wait([coming])

    async def _chunk(self, record_no: int) -> list[EncryptedRecord]:
        async with self._database.transaction() as connection:
            return await after(connection, record_no, CHUNK)


class IndexLoader:
    """A `Loader`.

    Args:
        records: Reads all records in clear.
    """

    def __init__(self, records: RecordLoader) -> None:
        self._records = records

    async def everything(self) -> AsyncIterator[list[IndexedRecord]]:
        """Yield all records that can be read, chunk by chunk, each chunk as of the moment it is read."""
        async with aclosing(self._records.everything()) as chunks:
            async for chunk in chunks:
                yield [indexed_of(each) for each in chunk]
