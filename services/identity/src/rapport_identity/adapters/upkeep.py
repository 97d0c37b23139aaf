"""What goes on in the background: following what others write, and looking after the keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, Literal

from rapport_chassis.background import Background
from rapport_chassis.clock import Clock
from rapport_chassis.database.commits import Commits
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import RapportError
from rapport_chassis.key_folder import KeyFolderError
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.telemetry.metrics import Meter

from rapport_identity.adapters.key_store import PostgresKeyStore
from rapport_identity.adapters.orphans import OLD_AFTER, sweep_orphans
from rapport_identity.app.partition import Partition
from rapport_identity.telemetry import POSITION, PROFILES, RECORDS

_LOOK_S: Final = 10.0
_KEYS_EVERY_S: Final = 3600.0
_LOOK_BACK: Final = timedelta(days=30)
"""Orphans older than this have been swept by an earlier process."""


class Following(Background):
    """The component that reads the partition when the process starts, and then what other processes write.

    Args:
        partition: What is followed.
        every_s: How often, while something is written.
        commits: Says when something was.
        meter: Is told how much there is.
    """

    name = "partition"
    role: Literal["api"] = "api"

    def __init__(self, partition: Partition, every_s: float, commits: Commits, meter: Meter) -> None:
        self._partition = partition
        self._every_s = every_s
        self._commits = commits
        self._records = meter.gauge(RECORDS).of()
        self._profiles = meter.gauge(PROFILES).of()
        self._position = meter.gauge(POSITION).of()

    async def check(self) -> None:
        """Return once the partition has been read.

        Raises:
            RapportError: NOT_READY.
        """
        _ = self._partition.replica

    async def run(self) -> None:
        """Read, and go on reading."""
        steps: tuple[Callable[[], Awaitable[None]], ...] = (self._partition.load, self._partition.refresh)
        at, failing = 0, False
        while True:
            mark = self._commits.mark
            try:
                await steps[at]()
                at, failing = 1, False
                self._tell()
            except RapportError as error:
                if not failing:
                    get_logger().warning("partition_not_read", component=self.name, reason=error.reason.name)
                failing = True
            await self._commits.since(mark, pace_s=self._every_s, at_most_s=self._every_s if failing else _LOOK_S)

    def _tell(self) -> None:
        replica = self._partition.replica
        self._records.set(len(replica.index))
        self._profiles.set(len(replica.members))
        self._position.set(replica.position)


class Intake:
    """The component that lets calls and keys that are under way finish when the process stops.

    Args:
        closing: What is closed, in this order.
    """

    name = "intake"
    role: Literal["api"] = "api"

    def __init__(self, *closing: Callable[[], Awaitable[None]]) -> None:
        self._closing = closing

    async def start(self) -> None:
        """Return at once: who calls starts it."""

    async def stop(self) -> None:
        """Wait for what was begun."""
        for close in self._closing:
            await close()


class KeyCare(Background):
    """The component that destroys keys without a value, and rotates the key that wraps all others when it is old.

    Several processes do no harm.

    Args:
        database: Where the records are.
        keys: The key store.
        rotate_every: How old the wrapping key grows.
        clock: Says how old it is, and paces.
    """

    name = "key-care"
    role: Literal["relay"] = "relay"

    def __init__(self, database: Database, keys: PostgresKeyStore, rotate_every: timedelta, clock: Clock) -> None:
        self._database = database
        self._keys = keys
        self._rotate_every = rotate_every
        self._clock = clock
        self._swept: datetime | None = None

    async def look(self) -> None:
        """Sweep, and rotate if it is time.

        Raises:
            RapportError: NOT_READY.
            KeyFolderError: The folder of epoch keys cannot be written: its operator rotates.
        """
        now = self._clock.now()
        await sweep_orphans(self._database, self._keys, now=now, since=self._swept or now - _LOOK_BACK)
        self._swept = now - OLD_AFTER
        begun_at = await self._keys.epoch_begun_at()
        if begun_at is not None and now - begun_at >= self._rotate_every:
            await self._keys.rotate_epoch()
            get_logger().info("keys_rotated", component=self.name)

    async def run(self) -> None:
        """Look again and again; what was cut off is gone on with by the next."""
        while True:
            try:
                await self.look()
            except RapportError as error:
                get_logger().warning("keys_not_looked_after", component=self.name, reason=error.reason.name)
            except KeyFolderError:
                get_logger().warning("keys_not_rotated", component=self.name, reason="FOLDER_NOT_WRITABLE")
            await self._clock.sleep(_KEYS_EVERY_S)
