"""A word in passing, that there is something to do."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Wake:
    """Is called by whoever has made work, and waited for by whoever does it, in one process.

    Attributes:
        said: How often there was something new.
    """

    def __init__(self) -> None:
        self._event: asyncio.Event | None = None
        self.said = 0

    def __call__(self) -> None:
        """Say that there is something new to do."""
        self.said += 1
        self.nudge()

    def nudge(self) -> None:
        """Say that there is room for what is known."""
        if self._event is not None:
            self._event.set()

    async def wait(self, timeout_s: float) -> None:
        """Return when there is something to do, or the time is over."""
        if self._event is None:
            self._event = asyncio.Event()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        self._event.clear()
