"""What goes on by itself from the start of a process to its end."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from rapport_chassis.events.tasks import end


class Background(ABC):
    """A component that is one task. It begins whether or not what it needs is there, and is cut off at its end.

    Attributes:
        name: Name in logs and health.
    """

    name: str
    _task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self.run(), name=self.name)

    async def stop(self) -> None:
        """Cut it off; return once it has ended."""
        if self._task is not None:
            await end(self._task)

    @abstractmethod
    async def run(self) -> None:
        """Go on until cut off, which must leave nothing half done."""
