"""Deletes what was kept as long as its store says, on schedule, and keeps a log of it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.telemetry.logs import get_logger

from rapport_privacy.participant.holding import Holding, Store

EVERY_S: Final = 3600.0
"""How often it is due."""

_AT_ONCE: Final = 1000
_LOG: Final = "INSERT INTO privacy_sweeps (store, before, deleted) VALUES (%s, %s, %s)"


class Retention:
    """Applies the retention of each store, in short transactions; several processes do no harm.

    Args:
        holding: What is kept, and for how long.
        database: Where it is.
        clock: Says what is old.
    """

    def __init__(self, holding: Holding, database: Database, clock: Clock) -> None:
        self._holding = holding
        self._database = database
        self._clock = clock

    async def step(self) -> bool:
        """Delete all that is too old now; there is nothing to do again for a while.

        Raises:
            RapportError: NOT_READY.
        """
        await self.sweep(self._clock.now())
        return False

    async def sweep(self, now: datetime) -> dict[str, int]:
        """Delete what is too old at a time, enter it into the log, and return how much of which store.

        Raises:
            RapportError: NOT_READY; what was deleted by then is in the log.
        """
        deleted = {store.name: await self._of(store, now) for store in self._holding.stores if store.kept_for}
        return {store: count for store, count in deleted.items() if count}

    async def _of(self, store: Store, now: datetime) -> int:
        assert store.kept_for is not None
        before, deleted = now - store.kept_for, 0
        while True:
            async with self._database.transaction() as connection:
                count = await self._holding.expire(connection, store, before, _AT_ONCE)
                if count:
                    # Each transaction logs its own: a kill between two leaves nothing unsaid.
                    await connection.execute(_LOG, (store.name, before, count))
            deleted += count
            if count < _AT_ONCE:
                break
        if deleted:
            get_logger().info("retention_applied", table=store.name, count=deleted)
        return deleted
