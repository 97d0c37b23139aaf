"""The time, as a port: real in a process, set by hand in a test."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

# Goes on while the machine sleeps, never jumps with the wall clock. Where the platform lacks it, monotonic is nearest.
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


@runtime_checkable
class Clock(Protocol):
    """Wall time, elapsed time and waiting."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        ...

    def boottime(self) -> float:
        """Return seconds that only ever grow and go on through a suspend; the zero is arbitrary."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait at least this long."""
        ...


class SystemClock:
    """The clock of the machine."""

    __slots__ = ()

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        return datetime.now(UTC)

    def boottime(self) -> float:
        """Return CLOCK_BOOTTIME in seconds."""
        return time.clock_gettime(_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        """Wait at least this long."""
        await asyncio.sleep(seconds)
