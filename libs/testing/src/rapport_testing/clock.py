"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

_BEGINNING = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)


class TestClock:
    """The wall clock and the clock since boot of a test; it satisfies `rapport_chassis.clock.Clock`.

    Both move by `advance` only, in step. `set` moves the wall clock alone, as a correction of the machine's time does.
    """

    __test__ = False  # not a test class, for pytest

    def __init__(self, now: datetime = _BEGINNING, boottime: float = 1000.0) -> None:
        self.set(now)
        self._boottime = boottime
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """Return the time in UTC."""
        return self._now

    def boottime(self) -> float:
        """Return the seconds since the machine started, which never step."""
        return self._boottime

    async def sleep(self, seconds: float) -> None:
        """Return once the clock has been advanced by that much; at once for zero and less, after a turn of the loop."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._boottime + seconds, next(self._order), woken))
        await woken

    @property
    def sleepers(self) -> int:
        """How many tasks sleep on this clock: what a test waits for before it advances."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    def set(self, now: datetime) -> None:
        """Set the wall clock, forward or back, without waking anybody.

        Raises:
            ValueError: The time has no zone.
        """
        if now.tzinfo is None:
            raise ValueError("a time without a zone")
        self._now = now.astimezone(UTC)

    def advance(self, seconds: float) -> None:
        """Move both clocks on and wake, in the order of their times, all who slept no longer than that.

        Those woken run when the caller next awaits. To be called in the event loop of the sleepers.

        Raises:
            ValueError: Back is no direction for it.
        """
        if seconds < 0:
            raise ValueError("a clock advances; set() moves the wall clock back")
        self._boottime += seconds
        self._now += timedelta(seconds=seconds)
        while self._sleepers and self._sleepers[0][0] <= self._boottime:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
