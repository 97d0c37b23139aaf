"""The head of the ledger: epoch, position, and the server's timeline.

A promoted standby that lagged gives positions out again, on another timeline. So every look at the head compares
timelines, and another one begins a new epoch before anything is answered. Fails on a standby, as wanted. A ledger that
was restored has no head before it knows what its stream tells.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import AsyncCursor
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_privacy.ports import LedgerHead

_TIMELINE: Final = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
_READ: Final = f"""
SELECT epoch, position, doubted_until, timeline = {_TIMELINE}, restoring FROM ledger_head
"""  # noqa: S608 - made of constants
LOCK: Final = f"""
SELECT epoch, position, timeline = {_TIMELINE}, greatest(recorded_at, clock_timestamp()), purposes_at, doubted_until,
    restoring
FROM ledger_head FOR UPDATE
"""  # noqa: S608 - made of constants
_RENEW: Final = f"""
UPDATE ledger_head SET epoch = gen_random_uuid()::text, timeline = {_TIMELINE}
WHERE timeline <> {_TIMELINE} RETURNING epoch
"""  # noqa: S608 - made of constants


class LockedHead(NamedTuple):
    """The head, held until the transaction ends.

    Attributes:
        epoch: The ledger's present life.
        position: The last position taken.
        recorded_at: The time of rows to come, never before that of an earlier one.
        purposes_at: Position of the last row about a purpose.
        doubted_until: Gates are not told of grants up to this time; None: of all.
    """

    epoch: str
    position: int
    recorded_at: datetime
    purposes_at: int
    doubted_until: datetime | None


class Head(NamedTuple):
    """The committed head, and what of the ledger is in doubt since a restore.

    Attributes:
        epoch: The ledger's present life.
        position: The last position taken.
        doubted_until: Gates are not told of grants up to this time; None: of all.
    """

    epoch: str
    position: int
    doubted_until: datetime | None


async def locked(
    connection: Connection, cursor: AsyncCursor[tuple[Any, ...]], *, restoring: bool = False
) -> LockedHead:
    """Return the head that LOCK took: every other writer waits until this transaction ends.

    Args:
        connection: In the transaction.
        cursor: The result of LOCK.
        restoring: Whether this writer takes in what the stream tells after a restore.

    Raises:
        RapportError: NOT_READY: nobody else writes before that is done.
    """
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("the ledger has no head: it was not migrated")
    epoch, position, same_timeline, recorded_at, purposes_at, doubted_until, is_restoring = row
    if is_restoring and not restoring:
        raise _not_restored()
    if not same_timeline:
        epoch = await _renew(connection) or epoch
    return LockedHead(epoch, position, recorded_at, purposes_at, doubted_until)


async def read(connection: Connection) -> LedgerHead:
    """Return the committed head.

    Raises:
        RapportError: NOT_READY: the ledger was restored, and does not know yet what its stream tells.
    """
    return LedgerHead(*(await whole(connection))[:2])


async def whole(connection: Connection) -> Head:
    """Return the committed head with what is in doubt.

    Raises:
        RapportError: NOT_READY: the ledger was restored, and does not know yet what its stream tells.
    """
    row = await (await connection.execute(_READ)).fetchone()
    if row is None:
        raise RuntimeError("the ledger has no head: it was not migrated")
    *head, same_timeline, is_restoring = row
    if is_restoring:
        raise _not_restored()
    if not same_timeline:
        await _renew(connection)
        await connection.commit()
        return await whole(connection)
    return Head(*head)


async def committed(connection: Connection) -> LedgerHead:
    """Return the head as the caller's transaction sees it; whoever writes looks at the timeline himself.

    Raises:
        RuntimeError: The ledger was not migrated.
    """
    row = await (await connection.execute("SELECT epoch, position FROM ledger_head")).fetchone()
    if row is None:
        raise RuntimeError("the ledger has no head: it was not migrated")
    return LedgerHead(*row)


def _not_restored() -> RapportError:
    return CHASSIS_ERRORS.error("NOT_READY", "the ledger was restored and takes in what its stream tells")


async def _renew(connection: Connection) -> str | None:
    row = await (await connection.execute(_RENEW)).fetchone()
    return row[0] if row else None


class SharedHeads:
    """Reads the head for many callers: one read serves all that were waiting when it began, and nobody later."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[asyncio.Future[LedgerHead]] = []
        self._reader: asyncio.Task[None] | None = None

    async def read(self) -> LedgerHead:
        """Return the committed head, read after this call began.

        Raises:
            RapportError: NOT_READY.
        """
        answer: asyncio.Future[LedgerHead] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        if self._reader is None:
            self._reader = asyncio.create_task(self._serve())
        return await answer

    async def _serve(self) -> None:
        try:
            while self._waiting:
                served, self._waiting = self._waiting, []
                try:
                    async with self._database.looking() as connection:
                        head = await read(connection)
                except Exception as error:  # handed to those who wait, each raises it
                    for answer in served:
                        if not answer.done():
                            answer.set_exception(error)
                else:
                    for answer in served:
                        if not answer.done():
                            answer.set_result(head)
        finally:
            self._reader = None
