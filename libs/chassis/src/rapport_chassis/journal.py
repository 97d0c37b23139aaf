"""A journal of decisions that have no effect: kept in groups within 100 ms, so that each can be explained later."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Collection, Sequence
from typing import Final, Generic, Literal, Protocol, TypeVar

from rapport_chassis.background import Background
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.telemetry.metrics import GaugeSeries

_EVERY_S: Final = 0.05
_AGAIN_S: Final = 1.0
_MOST_WAITING: Final = 50_000
_AT_ONCE: Final = 1000


class Kept(Protocol):
    """A decision as it is kept."""

    @property
    def decision_id(self) -> str:
        """Its id."""
        ...

    @property
    def profile_id(self) -> str:
        """Whom it is about; empty for nobody."""
        ...


KeptT = TypeVar("KeptT", bound=Kept)


class Journal(Background, Generic[KeptT]):
    """Keeps what was answered. A decision waits in memory for less than 100 ms; a kill loses no more than that.

    Args:
        database: Where it is kept.
        waiting: Is told how many decisions wait.
        clock: Paces.
    """

    name = "journal"
    role: Literal["all"] = "all"

    def __init__(self, database: Database, waiting: GaugeSeries, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._waiting: dict[str, KeptT] = {}
        self._writing: dict[str, KeptT] = {}
        self._added = asyncio.Event()
        self._gauge = waiting

    @abstractmethod
    async def write(self, connection: Connection, kept: Sequence[KeptT]) -> None:
        """Keep decisions; one that is kept stays as it is, since a group whose COMMIT was in doubt comes again."""

    def add(self, kept: KeptT) -> None:
        """Keep a decision. It can be found at once.

        Raises:
            RapportError: NOT_READY: too many wait, since the database is away: nothing is answered that cannot be
                explained.
        """
        if len(self._waiting) >= _MOST_WAITING:
            raise CHASSIS_ERRORS.error("NOT_READY", "the journal of decisions cannot be written")
        self._waiting[kept.decision_id] = kept
        self._added.set()

    def waiting(self, decision_id: str) -> KeptT | None:
        """Return a decision that is not written yet; None if there is none."""
        return self._waiting.get(decision_id) or self._writing.get(decision_id)

    def forget(self, profile_ids: Collection[str]) -> None:
        """Drop what waits about people who were erased."""
        for waiting in (self._waiting, self._writing):
            for kept in [each for each in waiting.values() if each.profile_id in profile_ids]:
                del waiting[kept.decision_id]

    async def run(self) -> None:
        """Write what waits, in groups."""
        while True:
            await self._added.wait()
            await self._clock.sleep(_EVERY_S)
            try:
                await self._write()
            except Exception as fault:
                self._failed(fault)
                await self._clock.sleep(_AGAIN_S)

    async def stop(self) -> None:
        """Write what is left."""
        await super().stop()
        try:
            await self._write()
        except RapportError as error:
            self._failed(error)

    async def _write(self) -> None:
        while self._waiting:
            self._added.clear()
            self._gauge.set(len(self._waiting))
            ids = list(self._waiting)[:_AT_ONCE]
            self._writing = {each: self._waiting.pop(each) for each in ids}
            try:
                async with self._database.transaction() as connection:
                    await self.write(connection, list(self._writing.values()))
            except BaseException:
                self._waiting = {**self._writing, **self._waiting}
                self._added.set()
                raise
            finally:
                self._writing = {}
        self._gauge.set(0)

    def _failed(self, fault: Exception) -> None:
        if isinstance(fault, RapportError):
            get_logger().warning("journal_not_written", component=self.name, reason=fault.reason.name)
        else:
            get_logger().error("journal_not_written", component=self.name, exc_info=fault)
