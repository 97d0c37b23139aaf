"""Deletes from the stream what was told of people who may not be profiled any more."""

from __future__ import annotations

from typing import Final

from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.events.eraser import Eraser
from rapport_chassis.events.jetstream import JetStreamError
from rapport_chassis.events.wire import WireError
from rapport_chassis.failpoints import failpoint

_OPEN: Final = """
SELECT position, profile_ids FROM removals WHERE messages_deleted_at IS NULL ORDER BY position LIMIT %s
"""
_DONE: Final = "UPDATE removals SET messages_deleted_at = %s WHERE position = ANY (%s)"
_OLD: Final = """
SELECT EXISTS (SELECT FROM removals WHERE messages_deleted_at IS NULL AND removed_at < %s - interval '60 s')
"""
_AT_ONCE: Final = 50

DELETED: Final = ("score_updated", "risk_raised")
"""What says something of a person. risk_cleared says that nothing may be said, and stays."""


class StreamCare:
    """Deletes messages, again until none is left.

    Args:
        database: Says whose.
        eraser: Deletes.
        clock: The time.
    """

    def __init__(self, database: Database, eraser: Eraser, clock: Clock) -> None:
        self._database = database
        self._eraser = eraser
        self._clock = clock

    async def step(self) -> bool:
        """Delete what was told of some; return whether there was anything to do.

        Raises:
            RapportError: NOT_READY: the broker is away.
        """
        async with self._database.transaction() as connection:
            open_ = await (await connection.execute(_OPEN, [_AT_ONCE])).fetchall()
        done: list[int] = []
        try:
            for position, profile_ids in open_:
                erased = await self._eraser.erase(profile_ids, only=DELETED)
                failpoint("churn.messages_deleted")
                if not erased.waiting:  # what is not published yet must be deleted once it is
                    done.append(position)
        except (WireError, JetStreamError) as error:
            raise CHASSIS_ERRORS.error("NOT_READY", f"messages cannot be deleted: {type(error).__name__}") from error
        finally:
            if done:
                await self._close(done)
        return bool(done)

    async def check(self) -> None:
        """Say, for health, whether messages can be deleted.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._database.transaction() as connection:
            row = await (await connection.execute(_OLD, [self._clock.now()])).fetchone()
        if row is not None and row[0]:
            raise CHASSIS_ERRORS.error("NOT_READY", "messages about people who withdrew are still in the stream")

    async def _close(self, positions: list[int]) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(_DONE, (self._clock.now(), positions))
