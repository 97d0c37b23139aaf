"""Looks on what the ledger commits, and when: the truth by which the decisions of gates are judged."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import psycopg
from rapport.consent.v1 import ledger_pb2
from rapport_chassis.clock import SystemClock
from rapport_testing.gate_history.chronicle import Chronicle
from rapport_testing.installation import Installation
from rapport_testing.postgres import PostgresServer
from rapport_testing.waiting import eventually

_EVERY_S = 0.02

# Rows about the erased are blanked; what a row told when it was written is kept for the judge.
_PREPARE = """
CREATE SCHEMA witness;
CREATE TABLE witness.changes (position bigint PRIMARY KEY, epoch text NOT NULL, change bytea NOT NULL);
CREATE FUNCTION witness.keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO witness.changes VALUES (NEW.position, NEW.epoch, NEW.change);
    RETURN NULL;
END $$;
INSERT INTO witness.changes SELECT position, epoch, change FROM ledger;
CREATE TRIGGER witness AFTER INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION witness.keep();
"""
_LOOK = b"""
SELECT head.epoch, timeline = substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
    changes.epoch, changes.position, changes.change
FROM ledger_head AS head LEFT JOIN witness.changes ON changes.position > %s
ORDER BY changes.position
"""
_LOST = "SELECT change FROM witness.changes WHERE position > {} ORDER BY position"


@dataclass(frozen=True)
class _Look:
    """What was seen at once.

    Attributes:
        began_at: Clock since boot before it.
        ended_at: After it.
        epoch: Of the head.
        changes: With the epoch in which each was written.
    """

    began_at: float
    ended_at: float
    epoch: str
    changes: list[tuple[str, ledger_pb2.LedgerChange]]


class Observer:
    """Watches one ledger, from before its first service starts.

    Attributes:
        chronicle: What was seen; complete up to the last look.
    """

    def __init__(self, installation: Installation) -> None:
        self.chronicle = Chronicle()
        self._postgres = installation.postgres
        self._database = installation.database.name
        self._clock = SystemClock()
        self._epoch = ""
        self._position = 0
        self._looked_at = -inf
        self._lost_at: float | None = None
        self._watching: asyncio.Task[None] | None = None
        self._postgres.execute(_PREPARE, self._database)

    def start(self) -> None:
        """Begin to watch, in the background."""
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Leave off watching.

        Raises:
            Exception: What it could not go on after.
        """
        assert self._watching is not None
        self._watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watching

    async def until_seen(self, position: int) -> None:
        """Wait until the ledger was seen at a position."""
        await self._until(lambda: self._position >= position)

    async def until_moved(self) -> tuple[str, int]:
        """Wait until the ledger has moved some positions, and return epoch and position."""
        moments = len(self.chronicle.moments) + 5
        await self._until(lambda: len(self.chronicle.moments) >= moments)
        return self.chronicle.moments[-1][:2]

    async def examine_lost(self, folder: Path, killed_at: float) -> None:
        """Take up what a killed server had committed since the last look, before another one goes on without it."""
        server = PostgresServer(folder, durable=False)
        await asyncio.to_thread(server.start)
        try:
            rows = await asyncio.to_thread(server.execute, _LOST.format(self._position), self._database)
        finally:
            await asyncio.to_thread(server.stop)
        for (change,) in rows:
            self._record(ledger_pb2.LedgerChange.FromString(change), self._looked_at, killed_at)  # type: ignore[arg-type]
        self._lost_at = killed_at

    async def _until(self, reached: Callable[[], bool]) -> None:
        def reached_or_failed() -> bool:
            if self._watching is not None and self._watching.done():
                self._watching.result()
            return reached()

        await eventually(reached_or_failed, timeout_s=60)

    async def _watch(self) -> None:
        while True:
            try:
                async with await self._connect() as connection:
                    while True:
                        self._take(await self._look(connection))
                        await self._clock.sleep(_EVERY_S)
            except psycopg.OperationalError:  # killed, or not there yet
                await self._clock.sleep(_EVERY_S)

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(self._postgres.dsn(self._database), autocommit=True)

    async def _look(self, connection: psycopg.AsyncConnection[Any]) -> _Look | None:
        """None while a promoted server has not yet been taken notice of by the service."""
        began_at = self._clock.boottime()
        seen = self._position if self._lost_at is None else 0
        rows = await (await connection.execute(_LOOK, (seen,))).fetchall()
        ended_at = self._clock.boottime()
        epoch, is_noticed, *_ = rows[0]
        if not is_noticed:
            return None
        changes = [(row[2], ledger_pb2.LedgerChange.FromString(row[4])) for row in rows if row[3] is not None]
        return _Look(began_at, ended_at, epoch, changes)

    def _take(self, look: _Look | None) -> None:
        if look is None:
            return
        new = look.changes
        if look.epoch != self._epoch and self._epoch:
            if self._lost_at is None:
                raise AssertionError("the ledger began another epoch, and nobody promoted a standby")
            kept = sum(epoch != look.epoch for epoch, _ in look.changes)
            self.chronicle.restore(look.epoch, kept, earliest=self._lost_at, latest=look.ended_at)
            self._position = kept
            self._looked_at = max(self._looked_at, self._lost_at)
            self._lost_at = None
            new = look.changes[kept:]
        self._epoch = look.epoch
        for _, change in new:
            self._record(change, self._looked_at, look.ended_at)
        self._looked_at = look.began_at

    def _record(self, change: ledger_pb2.LedgerChange, earliest: float, latest: float) -> None:
        self.chronicle.record(change, earliest=earliest, latest=latest)
        self._position = change.position
