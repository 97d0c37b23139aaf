"""What goes on by itself from the start of a process to its end."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from rapport_chassis.clock import Clock
from rapport_chassis.database.commits import Commits
from rapport_chassis.errors import RapportError
from rapport_chassis.events.tasks import end
from rapport_chassis.telemetry.logs import get_logger

_IDLE_S: Final = 1.0
_OVERDUE_S: Final = 1.0
_NOT_READY_S: Final = 0.1
_AFTER_FAILURE_S: Final = 5.0


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


class Unhurried:
    """A step that waits while something more urgent goes on, yet is taken now and then all the same.

    Args:
        step: Does some of the work, and returns whether there was any.
        is_quiet: Whether nothing more urgent goes on.
        clock: Paces.
        at_least_every_s: How long it waits at most.
    """

    def __init__(
        self,
        step: Callable[[], Awaitable[bool]],
        is_quiet: Callable[[], bool],
        clock: Clock,
        *,
        at_least_every_s: float,
    ) -> None:
        self._step = step
        self._is_quiet = is_quiet
        self._clock = clock
        self._every_s = at_least_every_s
        self._due = clock.boottime()

    async def __call__(self) -> bool:
        """Take the step, unless it can wait."""
        now = self._clock.boottime()
        if now < self._due and not self._is_quiet():
            return False
        self._due = now + self._every_s
        return await self._step()


class Stepping(Background):
    """A component that takes one step after the other while there is something to do.

    Args:
        name: Its name.
        step: Does some of the work, and returns whether there was any.
        clock: Paces.
        share: Of the time that steps take at most.
        idle_s: How long nothing is done where there was nothing to do.
        role: The role whose processes do it.
        commits: Where there was nothing to do, there is nothing until something is committed here, or time passes.
        overdue_s: With `commits`: how late a step may be that only the passing of time gives something to do.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], Awaitable[bool]],
        clock: Clock,
        *,
        share: float,
        idle_s: float = _IDLE_S,
        role: Literal["api", "events", "relay"] = "api",
        commits: Commits | None = None,
        overdue_s: float = _OVERDUE_S,
    ) -> None:
        self.name = name
        self.role = role
        self._idle_s = idle_s
        self._commits = commits
        self._overdue_s = max(overdue_s, idle_s)
        self._step = step
        self._clock = clock
        self._rest = (1 - share) / share

    async def run(self) -> None:
        """Take steps; one that is cut off leaves nothing behind."""
        failing = ""
        while True:
            began = self._clock.boottime()
            mark = self._commits.mark if self._commits is not None else None
            try:
                worked = await self._step()
            except RapportError as error:
                if error.reason.name not in (failing, "NOT_READY"):
                    get_logger().warning("step_failed", component=self.name, reason=error.reason.name)
                failing = error.reason.name
                await self._clock.sleep(_AFTER_FAILURE_S if failing != "NOT_READY" else _NOT_READY_S)
                continue
            except Exception as fault:
                get_logger().error("step_failed", component=self.name, exc_info=fault)
                await self._clock.sleep(_AFTER_FAILURE_S)
                continue
            failing = ""
            took = self._clock.boottime() - began
            if worked or self._commits is None:
                await self._clock.sleep(took * self._rest if worked else self._idle_s)
            else:
                await self._commits.since(mark, pace_s=self._idle_s, at_most_s=self._overdue_s)
