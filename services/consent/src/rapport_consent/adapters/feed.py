"""Feeds the replica of this process from the ledger table: it needs no broker, so checks are answered without one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from typing import Any, Final, Literal

from psycopg import OperationalError
from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport_chassis.background import Background
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.notices import notices
from rapport_chassis.errors import RapportError
from rapport_privacy.ports import ForeignEpochError

from rapport_consent.adapters import head
from rapport_consent.adapters.catalogue import CatalogueCache
from rapport_consent.adapters.head import Head
from rapport_consent.adapters.ledger import CHANNEL
from rapport_consent.adapters.snapshot_chunks import MOST_BYTES, chunks_of
from rapport_consent.app.ledger import Token
from rapport_consent.domain.states import Fence
from rapport_consent.translate.ledger import blank_change, fence_message, position_message, withhold
from rapport_consent.translate.purposes import purpose_state

_CHUNK: Final = 2_000
_LISTEN_RETRY_S: Final = 1.0

_AFTER: Final = """
SELECT ledger.position, ledger.recorded_at, named_id, change, fences.position
FROM ledger LEFT JOIN fences ON change IS NULL AND profile_id = named_id
WHERE ledger.position > %s ORDER BY ledger.position LIMIT %s
"""


class LedgerReader:
    """Reads changes and snapshots for replicas, here and elsewhere.

    Args:
        database: Where the ledger is.
        most_bytes: Most bytes of changes or states handed out at once.
    """

    def __init__(self, database: Database, *, most_bytes: int = MOST_BYTES) -> None:
        self._database = database
        self._most_bytes = most_bytes
        self._catalogue = CatalogueCache()

    async def after(self, position: int, limit: int, epoch: str) -> list[ledger_pb2.LedgerChange]:
        """Return at most `limit` changes that follow a position, gap-free; an erased row as bare position and fence.

        Fewer come where they are large, but always one if there is any.

        Raises:
            ForeignEpochError: The ledger is in another epoch than `epoch`; never where that is empty.
            RapportError: NOT_READY.
        """
        async with self._database.transaction() as connection:
            present = await head.whole(connection)
            if epoch and epoch != present.epoch:
                raise ForeignEpochError
            rows = await (await connection.execute(_AFTER, (position, limit))).fetchall()
        changes: list[ledger_pb2.LedgerChange] = []
        size = 0
        for row in rows:
            size += len(row[3] or b"")
            if changes and size > self._most_bytes:
                break
            changes.append(_change_of(present, row))
        return changes

    async def stream(self) -> AsyncGenerator[consent_pb2.StreamSnapshotResponse, None]:
        """Iterate over a snapshot: header, purposes, fences and states, trailer. One moment of the ledger throughout.

        Raises:
            RapportError: NOT_READY.
        """
        subjects = fences = 0
        async with self._database.transaction() as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            present = await head.whole(connection)
            position = position_message(Token(present.epoch, present.position))
            yield consent_pb2.StreamSnapshotResponse(header=consent_pb2.SnapshotHeader(position=position))
            catalogue = await self._catalogue.read(connection)
            purposes = [purpose_state(purpose) for purpose in catalogue.purposes.values() if purpose.versions]
            yield consent_pb2.StreamSnapshotResponse(chunk=consent_pb2.SnapshotChunk(purposes=purposes))
            async with connection.cursor("fences") as cursor:
                await cursor.execute("SELECT profile_id, position FROM fences")
                while rows := await cursor.fetchmany(_CHUNK):
                    fences += len(rows)
                    fenced = [fence_message(Fence(*row)) for row in rows]
                    yield consent_pb2.StreamSnapshotResponse(chunk=consent_pb2.SnapshotChunk(fences=fenced))
            async with connection.cursor("subjects") as cursor:
                await cursor.execute("SELECT state FROM subject_states")
                while rows := await cursor.fetchmany(_CHUNK):
                    subjects += len(rows)
                    states = [_told(state, present.doubted_until) for (state,) in rows]
                    for message in chunks_of(states, self._most_bytes):
                        yield message
        trailer = consent_pb2.SnapshotTrailer(subjects=subjects, fences=fences)
        yield consent_pb2.StreamSnapshotResponse(trailer=trailer)


class LedgerHints(Background):
    """The component that passes the database's hints on. A hint missed costs one head interval, nothing else.

    Args:
        database: Where the ledger is.
        hint: Takes the position a hint speaks of.
        clock: Paces retries.
        is_known: Says of a server process whether what it commits is known here without a hint.
    """

    name = "ledger-hints"
    role: Literal["api"] = "api"

    def __init__(
        self,
        database: Database,
        hint: Callable[[int | None], None],
        clock: Clock,
        is_known: Callable[[int], bool],
    ) -> None:
        self._database = database
        self._is_known = is_known
        self._hint = hint
        self._clock = clock

    async def run(self) -> None:
        """Listen."""
        while True:
            with contextlib.suppress(RapportError, OperationalError):
                async with self._database.direct() as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self._hint(None)
                    while True:
                        for notification in await notices(connection):
                            if not self._is_known(notification.pid):
                                self._hint(int(notification.payload))
            await self._clock.sleep(_LISTEN_RETRY_S)


def _told(state: bytes, doubted_until: datetime | None) -> bytes:
    """Return a state as gates are told of it: as it is stored, unless some of it is in doubt."""
    if doubted_until is None:
        return state
    told = ledger_pb2.SubjectState.FromString(state)
    withhold(told.states, doubted_until)
    return told.SerializeToString()


def _change_of(present: Head, row: tuple[Any, ...]) -> ledger_pb2.LedgerChange:
    position, recorded_at, named_id, change, fenced_at = row
    if change is not None:
        told = ledger_pb2.LedgerChange.FromString(change)
        for subject in told.subjects:
            withhold(subject.states, present.doubted_until)
        return told
    return blank_change(present.epoch, position, recorded_at, Fence(named_id, fenced_at))
