"""The journal of decisions: what was answered, written in groups within 100 ms, so that it can be explained later."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final, Literal

from rapport_chassis.background import Background
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.telemetry.metrics import Meter

from rapport_pricing.app.decisions import Kept
from rapport_pricing.telemetry import JOURNAL

_EVERY_S: Final = 0.05
_AGAIN_S: Final = 1.0
_MOST_WAITING: Final = 50_000
_AT_ONCE: Final = 1000
_SWEEP_ROWS: Final = 1000

_COLUMNS: Final = "decision_id, quote_id, profile_id, issued_at, epoch, position, body, inputs"
# A redemption that came before the journal was written has kept its decision itself.
_ADD: Final = f"""
INSERT INTO decisions ({_COLUMNS})
SELECT * FROM unnest(
    %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::bigint[], %s::bytea[], %s::text[]
)
ON CONFLICT (decision_id) DO NOTHING
"""  # noqa: S608 - made of constants
_FIND: Final = f"SELECT {_COLUMNS} FROM decisions WHERE decision_id = %s"  # noqa: S608 - made of constants
_SWEEP: Final = """
DELETE FROM decisions WHERE decision_id IN (
    SELECT decision_id FROM decisions WHERE issued_at < %s ORDER BY issued_at LIMIT %s
)
"""


class Journal(Background):
    """Keeps what was answered. A decision waits in memory for less than 100 ms; a kill loses no more than that.

    Args:
        database: Where it is.
        meter: Is told how many decisions wait.
        clock: Paces.
    """

    name = "journal"
    role: Literal["all"] = "all"

    def __init__(self, database: Database, meter: Meter, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._waiting: dict[str, Kept] = {}
        self._writing: dict[str, Kept] = {}
        self._added = asyncio.Event()
        self._gauge = meter.gauge(JOURNAL).of()

    def add(self, kept: Kept) -> None:
        """Keep a decision. It can be found at once.

        Raises:
            RapportError: NOT_READY: too many wait, since the database is away: nothing is answered that cannot be
                explained.
        """
        if len(self._waiting) >= _MOST_WAITING:
            raise CHASSIS_ERRORS.error("NOT_READY", "the journal of decisions cannot be written")
        self._waiting[kept.decision_id] = kept
        self._added.set()

    async def find(self, decision_id: str) -> Kept | None:
        """Return a decision; None if there is none. One about an erased person has neither profile nor body.

        Raises:
            RapportError: NOT_READY.
        """
        known = self._waiting.get(decision_id) or self._writing.get(decision_id)
        if known is not None:
            return known
        async with self._database.transaction() as connection:
            row = await (await connection.execute(_FIND, [decision_id])).fetchone()
        return None if row is None else Kept._make((*row[:6], bytes(row[6] or b""), row[7] or ""))

    async def run(self) -> None:
        """Write what waits, in groups."""
        while True:
            await self._added.wait()
            await self._clock.sleep(_EVERY_S)
            try:
                await self._write()
            except RapportError as error:
                get_logger().warning("journal_not_written", component=self.name, reason=error.reason.name)
                await self._clock.sleep(_AGAIN_S)

    async def stop(self) -> None:
        """Write what is left."""
        await super().stop()
        try:
            await self._write()
        except RapportError as error:
            get_logger().warning("journal_not_written", component=self.name, reason=error.reason.name)

    async def _write(self) -> None:
        while self._waiting:
            self._added.clear()
            self._gauge.set(len(self._waiting))
            ids = list(self._waiting)[:_AT_ONCE]
            self._writing = {each: self._waiting.pop(each) for each in ids}
            try:
                async with self._database.transaction() as connection:
                    await write(connection, list(self._writing.values()))
            except BaseException:
                self._waiting = {**self._writing, **self._waiting}
                self._added.set()
                raise
            finally:
                self._writing = {}
        self._gauge.set(0)


async def write(connection: Connection, kept: Collection[Kept]) -> None:
    """Keep decisions in a transaction, such as that of the effect they have; one that is kept stays as it is."""
    columns = [list(column) for column in zip(*kept, strict=True)]
    await connection.execute(_ADD, columns)


class SweepDecisions:
    """Forgets decisions that are too old to be explained.

    Args:
        kept_for: How long they are kept.
    """

    def __init__(self, kept_for: timedelta) -> None:
        self._kept_for = kept_for

    async def __call__(self, connection: Connection, now: datetime) -> int:
        """Forget some, and return how many."""
        return (await connection.execute(_SWEEP, (now - self._kept_for, _SWEEP_ROWS))).rowcount
