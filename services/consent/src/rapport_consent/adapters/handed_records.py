"""Keeps records that were handed in, from the answer that brings them until the package they go into is sealed.

They come in pieces of any length and lie in sealed ones, each upload under a key of its own. The key is kept by the
transaction that takes the answer: before it, and where it never comes, nobody can open what was written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import RapportError
from rapport_chassis.ids import new_id

from rapport_consent.adapters.sealing import Sealer
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.handed_records import Handed, RecordLines
from rapport_consent.domain.packages import PackageRecord
from rapport_consent.domain.tasks import AskedTask

_PIECE: Final = 512 * 1024
_ABANDONED_AFTER: Final = timedelta(hours=1)
_ADD_PIECE: Final = "INSERT INTO privacy_handed_pieces (upload_id, number, sealed, written_at) VALUES (%s, %s, %s, %s)"
_GET_PIECE: Final = "SELECT sealed FROM privacy_handed_pieces WHERE upload_id = %s AND number = %s"
_DROP_PIECES: Final = "DELETE FROM privacy_handed_pieces WHERE upload_id = %s"
_KEEP: Final = """
INSERT INTO privacy_handed_records (task_id, request_id, upload_id, sealed_key, handed_at) VALUES (%s, %s, %s, %s, %s)
"""
_GET: Final = "SELECT upload_id, sealed_key FROM privacy_handed_records WHERE task_id = %s"
_DESTROY: Final = """
WITH gone AS (DELETE FROM privacy_handed_records WHERE request_id = %s RETURNING upload_id)
DELETE FROM privacy_handed_pieces AS piece USING gone WHERE piece.upload_id = gone.upload_id
"""
_SWEEP: Final = """
DELETE FROM privacy_handed_pieces AS piece WHERE written_at < %s
    AND NOT EXISTS (SELECT FROM privacy_handed_records AS kept WHERE kept.upload_id = piece.upload_id)
"""


class Intake:
    """Takes in the records of one answer.

    Args:
        database: Where they lie.
        participant: Who hands them in.
        most_bytes: How much it may be.
        clock: The time.
    """

    def __init__(self, database: Database, participant: str, most_bytes: int, clock: Clock) -> None:
        self.upload_id = new_id("import")
        self._database = database
        self._lines = RecordLines(participant)
        self._left = most_bytes
        self._clock = clock
        self._sealer, self._key = Sealer.fresh()
        self._hash = sha256()
        self._waiting = bytearray()
        self._number = 0

    async def write(self, content: bytes) -> None:
        """Take in the next bytes.

        Raises:
            RapportError: RECORDS_TOO_LONG, RECORDS_MALFORMED, NOT_READY.
        """
        self._left -= len(content)
        if self._left < 0:
            raise ERRORS.error("RECORDS_TOO_LONG", "an answer may not hold as much", field="lines")
        for _ in self._lines.feed(content):
            pass  # it is read again for the package; here it is known to be a record
        self._hash.update(content)
        self._waiting += content
        while len(self._waiting) >= _PIECE:
            await self._write_piece()

    async def end(self) -> Handed:
        """Return what was taken in.

        Raises:
            RapportError: RECORDS_MALFORMED, NOT_READY.
        """
        for _ in self._lines.end():
            pass
        if self._waiting:
            await self._write_piece()
        return Handed(self.upload_id, self._key, self._hash.digest(), self._lines.counts)

    async def _write_piece(self) -> None:
        piece = bytes(self._waiting[:_PIECE])
        del self._waiting[:_PIECE]
        sealed = self._sealer.seal(piece, f"{self.upload_id}/{self._number}")
        async with self._database.transaction() as connection:
            await connection.execute(_ADD_PIECE, (self.upload_id, self._number, sealed, self._clock.now()))
        self._number += 1


class HandedRecords:
    """Takes records in, and hands them out to the package.

    Args:
        database: Where they lie.
        sealer: Seals the key of each upload.
        most_bytes: How much one answer may hand in.
        clock: The time.
    """

    def __init__(self, database: Database, sealer: Sealer, most_bytes: int, clock: Clock) -> None:
        self._database = database
        self._sealer = sealer
        self._most_bytes = most_bytes
        self._clock = clock

    @asynccontextmanager
    async def intake(self, participant: str) -> AsyncIterator[Intake]:
        """Give what takes in the records of an answer; on an error nothing of them is left."""
        intake = Intake(self._database, participant, self._most_bytes, self._clock)
        try:
            yield intake
        except BaseException:
            with suppress(RapportError):  # what cannot be reached now is swept later
                async with self._database.transaction() as connection:
                    await connection.execute(_DROP_PIECES, (intake.upload_id,))
            raise

    async def records(self, task: AskedTask) -> AsyncIterator[PackageRecord]:
        """Iterate over what was handed in with the answer to a task; over nothing where nothing was found.

        Raises:
            RapportError: EXPORT_INCOMPLETE: it is not all there.
        """
        async with self._database.transaction() as connection:
            row = await (await connection.execute(_GET, (task.task_id,))).fetchone()
        if row is None:
            return
        upload_id, sealed_key = row
        opener = Sealer([self._sealer.open(bytes(sealed_key), _owner(task.task_id))])
        lines, number = RecordLines(task.participant), 0
        while piece := await self._piece(upload_id, number):
            for record in lines.feed(opener.open(piece, f"{upload_id}/{number}")):
                yield record
            number += 1
        with suppress(RapportError):  # each line was read before: one that is cut off now counts as missing
            for record in lines.end():
                yield record
        if task.answer is None or lines.counts != {each.store: each.found for each in task.answer.stores if each.found}:
            raise ERRORS.error("EXPORT_INCOMPLETE", "not all that was handed in is there")

    async def _piece(self, upload_id: str, number: int) -> bytes:
        async with self._database.transaction() as connection:
            row = await (await connection.execute(_GET_PIECE, (upload_id, number))).fetchone()
        return bytes(row[0]) if row else b""


class HandedRows:
    """What was handed in, in one transaction."""

    def __init__(self, connection: Connection, sealer: Sealer) -> None:
        self._connection = connection
        self._sealer = sealer

    async def keep(self, request_id: str, task_id: str, handed: Handed, now: datetime) -> None:
        """Keep what opens the records that came with the answer to a task."""
        sealed_key = self._sealer.seal(handed.key, _owner(task_id))
        await self._connection.execute(_KEEP, (task_id, request_id, handed.upload_id, sealed_key, now))

    async def destroy(self, request_id: str) -> None:
        """Destroy all that was handed in for a request."""
        await self._connection.execute(_DESTROY, (request_id,))


async def sweep_handed(connection: Connection, now: datetime) -> int:
    """Delete what was handed in and never kept, since somebody was killed or faster; return how many pieces went."""
    return (await connection.execute(_SWEEP, (now - _ABANDONED_AFTER,))).rowcount


def _owner(task_id: str) -> str:
    return f"handed/{task_id}"
