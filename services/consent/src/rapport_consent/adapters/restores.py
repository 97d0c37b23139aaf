"""Restores of the ledger, and what officers decided about grants that are in doubt since."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from psycopg.rows import class_row
from rapport_chassis.database.pool import Connection

from rapport_consent.app.restores import Restore, Verdict
from rapport_consent.domain.errors import ERRORS

_COLUMNS: Final = "restored_at, epoch, position, replayed_at, recorded, doubted_until, decision, decided_at, decided_by"
_LIST: Final = f"SELECT {_COLUMNS} FROM ledger_restores ORDER BY restored_at DESC LIMIT 100"  # noqa: S608
_ONE: Final = f"SELECT {_COLUMNS} FROM ledger_restores WHERE restored_at = %s"  # noqa: S608
_DECIDE: Final = """
UPDATE ledger_restores SET decision = %s, decided_at = %s, decided_by = %s WHERE restored_at = %s
"""
# Gates load everything anew in a new epoch: what was withheld from them is in no change.
_TELL: Final = """
WITH doubt AS (
    SELECT max(doubted_until) AS until FROM ledger_restores WHERE decision IS DISTINCT FROM 'count'
)
UPDATE ledger_head SET doubted_until = until, epoch = gen_random_uuid()::text
FROM doubt WHERE doubted_until IS DISTINCT FROM until
"""


async def latest(connection: Connection) -> Sequence[Restore]:
    """Return restores, the newest first."""
    async with connection.cursor(row_factory=class_row(Restore)) as cursor:
        return await (await cursor.execute(_LIST)).fetchall()


async def decide(
    connection: Connection, restored_at: datetime, decision: Verdict, *, actor: str, now: datetime
) -> Restore:
    """Decide about grants that are in doubt since a restore; the caller holds the head of the ledger.

    Raises:
        RapportError: RESTORE_NOT_FOUND, RESTORE_DECIDED.
    """
    restore = await _one(connection, restored_at)
    if restore.doubted_until is None or restore.decision is not None:
        raise ERRORS.error("RESTORE_DECIDED", "nothing waits for a decision since this restore")
    await connection.execute(_DECIDE, (decision, now, actor, restored_at))
    await connection.execute(_TELL)
    return await _one(connection, restored_at)


async def _one(connection: Connection, restored_at: datetime) -> Restore:
    async with connection.cursor(row_factory=class_row(Restore)) as cursor:
        found = await (await cursor.execute(_ONE, (restored_at,))).fetchone()
    if found is None:
        raise ERRORS.error("RESTORE_NOT_FOUND", "the ledger was not restored then", field="restored_at")
    return found
