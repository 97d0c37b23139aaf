"""Removes what was kept long enough, a bounded number of rows at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, Literal, TypeAlias

from rapport_chassis.background import Background
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Connection, Database
from rapport_chassis.errors import RapportError
from rapport_chassis.telemetry.logs import get_logger

_EVERY_S: Final = 300.0

Sweep: TypeAlias = Callable[[Connection, datetime], Awaitable[int]]
"""Removes a bounded number of rows that are too old at the time given, and returns how many."""


class Housekeeping(Background):
    """Runs sweeps again and again, each in short transactions. A component; several processes do no harm.

    Args:
        database: Where the rows are.
        sweeps: For example `RequestLog().sweep` and `inbox.sweep`.
        clock: Says what is old, and waits between the rounds.
        role: The role whose processes sweep.
    """

    name = "housekeeping"

    def __init__(
        self,
        database: Database,
        sweeps: Sequence[Sweep],
        *,
        clock: Clock,
        role: Literal["api", "events", "relay"] = "api",
    ) -> None:
        self.role = role
        self._database = database
        self._sweeps = tuple(sweeps)
        self._clock = clock

    async def run(self) -> None:
        """Sweep; what was removed stays removed."""
        while True:
            for sweep in self._sweeps:
                try:
                    while await self._once(sweep):
                        pass
                except RapportError:
                    get_logger().warning("sweep_failed", component=self.name)
            await self._clock.sleep(_EVERY_S)

    async def _once(self, sweep: Sweep) -> int:
        async with self._database.transaction() as connection:
            return await sweep(connection, self._clock.now())
