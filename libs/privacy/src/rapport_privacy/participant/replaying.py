"""After a restore: whoever was erased since the backup is erased again, before the service is ready."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.failpoints import failpoint
from rapport_chassis.telemetry.logs import get_logger

from rapport_privacy.participant import leftovers, living
from rapport_privacy.participant.export import patient
from rapport_privacy.participant.holding import Holding, Subject
from rapport_privacy.participant.ledger import Ledger
from rapport_privacy.participant.participant import StreamEraser

RESTORED: Final = "req_0000restored0000"
"""Stands for the requests that asked for the erasures: which they were, a backup from before does not know."""

MARK: Final = "INSERT INTO privacy_restores DEFAULT VALUES"
"""What whoever restores a backup executes in it, as the owner, before the service is started."""

_CHUNK: Final = 200
_OPEN: Final = "SELECT restored_at FROM privacy_restores WHERE replayed_at IS NULL ORDER BY restored_at LIMIT 1"
_MISSING: Final = """
SELECT id FROM unnest(%s::text[]) AS id WHERE NOT EXISTS (SELECT FROM privacy_tombstones WHERE profile_id = id)
"""
_UNTELL: Final = "DELETE FROM outbox WHERE profile_ids && %s"
_DONE: Final = "UPDATE privacy_restores SET replayed_at = %s WHERE replayed_at IS NULL AND restored_at <= %s"


class AfterRestore:
    """Replays erasures in a database that was restored.

    The ledger knows the fences of everybody who was ever erased; who has one and no tombstone here was erased since the
    backup was made.

    Args:
        database: The service's database.
        holding: What the service holds.
        eraser: Deletes what it published.
        ledger: Knows the fences.
        clock: The time.
    """

    def __init__(
        self, database: Database, holding: Holding, eraser: StreamEraser, ledger: Ledger, clock: Clock
    ) -> None:
        self._database = database
        self._holding = holding
        self._eraser = eraser
        self._ledger = ledger
        self._clock = clock

    async def step(self) -> bool:
        """Replay, where the database was restored and the ledger is known; return whether that was done.

        Raises:
            RapportError: NOT_READY; what was not finished is taken up again.
        """
        restored_at = await self._restored_at()
        if restored_at is None:
            return False
        known = await self._ledger()
        if not known.fresh:
            return False
        fenced, replayed = list(known.fenced), 0
        for at in range(0, len(fenced), _CHUNK):
            replayed += await self._replay(fenced[at : at + _CHUNK])
        await self._holding.purge(Subject(RESTORED, ()))
        async with self._database.transaction() as connection:
            await connection.execute(_DONE, (self._clock.now(), restored_at))
        get_logger().info("erasures_replayed", count=replayed)
        return True

    async def check(self) -> None:
        """Say, for health, whether everybody who was erased is erased here.

        Raises:
            RapportError: NOT_READY: the database was restored, and the erasures since are not replayed.
        """
        if await self._restored_at() is not None:
            raise CHASSIS_ERRORS.error("NOT_READY", "erasures since the backup are not replayed yet")

    async def _restored_at(self) -> datetime | None:
        async with self._database.looking() as connection:
            row = await (await connection.execute(_OPEN)).fetchone()
        return None if row is None else row[0]

    async def _replay(self, profile_ids: list[str]) -> int:
        async with patient(self._database) as connection:
            missing = await _missing(connection, profile_ids)
            if not missing:
                return 0
            bare = Subject(RESTORED, missing)
            await living.seclude(connection, bare)
            subject = Subject(RESTORED, missing, await living.holds(connection, bare, self._clock.now()))
            await connection.execute(_UNTELL, (list(missing),))
            await self._holding.erase(connection, subject)
            await leftovers.erase(connection, subject)
            # What the restored index still names is deleted before the tombstone says that nothing is left.
            await self._eraser.erase(missing)
            failpoint("privacy.replaying")
            await living.bury(connection, subject)
        return len(missing)


async def _missing(connection: Connection, profile_ids: list[str]) -> tuple[str, ...]:
    return tuple(each for (each,) in await (await connection.execute(_MISSING, (profile_ids,))).fetchall())
