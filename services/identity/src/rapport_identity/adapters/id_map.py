"""Every id ever issued and what it stands for at one moment, with the place in the stream to go on from."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final

from rapport.identity.v1 import identity_pb2, profile_pb2
from rapport_chassis.database.engine import Database

from rapport_identity.adapters import head
from rapport_identity.translate.events import MOST_REDIRECTS

_ENTRIES: Final = 1_000
_IDS: Final = 20_000
"""Entries and redirects in one message, at most: far below the limit of 4 MiB."""

# What is published was committed before, and so is in the map: whatever the map lacks has a later sequence.
_TAIL: Final = "SELECT coalesce(max(sequence), 0) + 1 FROM relay_progress"
_MAP: Final = """
SELECT profile_id, version, status = 'erased', ARRAY(
    SELECT issued_id FROM redirects
    WHERE redirects.profile_id = profiles.profile_id AND issued_id <> redirects.profile_id ORDER BY issued_id)
FROM profiles WHERE status <> 'merged' ORDER BY profile_id
"""


class IdMapReader:
    """Streams the id map.

    Args:
        database: Where the partition is.
        redirects: Most redirects that one entry names.
    """

    def __init__(self, database: Database, redirects: int = MOST_REDIRECTS) -> None:
        self._database = database
        self._redirects = redirects

    async def stream(self) -> AsyncGenerator[identity_pb2.StreamIdMapResponse, None]:
        """Yield header, chunks and trailer. A profile with very many redirects has several entries of one version.

        Raises:
            RapportError: NOT_READY.
        """
        sent = 0
        async with self._database.transaction() as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            at = await head.read(connection)
            tail = await (await connection.execute(_TAIL)).fetchone()
            yield identity_pb2.StreamIdMapResponse(
                header=identity_pb2.IdMapHeader(
                    position=profile_pb2.PartitionPosition(epoch=at.epoch, position=at.position),
                    tail_from_sequence=tail[0] if tail else 1,
                )
            )
            async with connection.cursor("id_map") as cursor:
                await cursor.execute(_MAP)
                chunk, ids = identity_pb2.IdMapChunk(), 0
                while rows := await cursor.fetchmany(_ENTRIES):
                    for entry in (entry for row in rows for entry in self._entries(row)):
                        if len(chunk.entries) == _ENTRIES or ids + len(entry.redirect_ids) > _IDS:
                            yield identity_pb2.StreamIdMapResponse(chunk=chunk)
                            chunk, ids = identity_pb2.IdMapChunk(), 0
                        chunk.entries.append(entry)
                        ids += len(entry.redirect_ids)
                        sent += 1
            if chunk.entries:
                yield identity_pb2.StreamIdMapResponse(chunk=chunk)
        yield identity_pb2.StreamIdMapResponse(trailer=identity_pb2.IdMapTrailer(entries=sent))

    def _entries(self, row: tuple[Any, ...]) -> list[identity_pb2.IdMapEntry]:
        profile_id, version, erased, redirects = row
        return [
            identity_pb2.IdMapEntry(
                profile_id=profile_id,
                version=version,
                redirect_ids=redirects[first : first + self._redirects],
                erased=erased,
            )
            for first in range(0, max(len(redirects), 1), self._redirects)
        ]
