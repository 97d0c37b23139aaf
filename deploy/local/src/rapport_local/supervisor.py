"""Keeps processes running: watches their health, and starts again, ever more slowly, what has crashed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import psutil
from rapport_testing.child import ProcessError

from rapport_local.concurrency import in_thread
from rapport_local.processes import ManagedProcess
from rapport_local.status import ProcessState, ProcessStatus, RoleHealth

_TICK_S: Final = 0.1
_PROBE_EVERY_S: Final = 3.0
_FIRST_DELAY_S: Final = 0.5
_LONGEST_DELAY_S: Final = 30.0
_HOPELESS_AFTER: Final = 3
_STABLE_AFTER_S: Final = 60.0


@dataclass
class _Watched:
    """A process and what is known of it."""

    process: ManagedProcess
    state: ProcessState = "waiting"
    roles: dict[str, RoleHealth] = field(default_factory=dict)
    created: float | None = None
    started_at: float | None = None
    restarts: int = 0
    crashes_in_a_row: int = 0
    note: str = ""
    watch: asyncio.Task[None] | None = None
    told: ProcessStatus | None = None

    def status(self) -> ProcessStatus:
        return ProcessStatus(
            name=self.process.name,
            state=self.state,
            pid=self.process.pid,
            created=self.created,
            roles=self.roles,
            address=self.process.address,
            started_at=self.started_at,
            restarts=self.restarts,
            note=self.note,
        )


class Supervisor:
    """Runs processes until it is stopped.

    Args:
        changed: Called after each change of a status, with the new status.
    """

    def __init__(self, changed: Callable[[ProcessStatus], None]) -> None:
        self._changed = changed
        self._watched: dict[str, _Watched] = {}
        self._moved = asyncio.Event()

    def add(self, process: ManagedProcess) -> None:
        """Show a process that is going to be started."""
        self._watched[process.name] = _Watched(process)

    def statuses(self) -> list[ProcessStatus]:
        """Return what is known of every process."""
        return [watched.status() for watched in self._watched.values()]

    async def start(self, name: str) -> None:
        """Start a process and keep it running from now on.

        Raises:
            ProcessError: It did not start.
        """
        watched = self._watched[name]
        await self._launch(watched)
        watched.watch = asyncio.create_task(self._keep_running(watched), name=f"watch {name}")

    async def ready(self, names: Iterable[str], timeout_s: float) -> bool:
        """Wait until all these processes are ready, and say whether they are within `timeout_s` seconds.

        One that crashes again and again is not waited for any longer.
        """
        wanted = [self._watched[name] for name in names]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while any(watched.state != "ready" for watched in wanted):
                    if any(watched.crashes_in_a_row >= _HOPELESS_AFTER for watched in wanted):
                        return False
                    await self._moved.wait()
                return True
        return False

    async def stop(self, names: Iterable[str], *, at_once: bool = False) -> None:
        """Stop these processes, all at the same time, and wait until they are gone; `at_once` kills them."""
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(self._stop(self._watched[name], at_once=at_once))

    async def kill(self) -> None:
        """End every process at once."""
        async with asyncio.TaskGroup() as group:
            for watched in self._watched.values():
                group.create_task(in_thread(watched.process.kill))

    async def _launch(self, watched: _Watched) -> None:
        self._turn(watched, "starting")
        await in_thread(watched.process.launch)
        watched.started_at = time.time()
        watched.created = _creation_time(watched.process.pid)
        self._turn(watched, "starting")

    async def _keep_running(self, watched: _Watched) -> None:
        next_probe = 0.0
        while True:
            if not watched.process.is_running:
                await self._start_again(watched)
                next_probe = 0.0
            elif time.monotonic() >= next_probe:
                await self._probe(watched)
                next_probe = time.monotonic() + (_PROBE_EVERY_S if watched.state == "ready" else 0)
            await _until_ended(watched.process.pid, max(next_probe - time.monotonic(), _TICK_S))

    async def _probe(self, watched: _Watched) -> None:
        watched.roles = dict(await watched.process.probe())
        if not watched.process.is_running:
            return
        if watched.roles and all(health == "ready" for health in watched.roles.values()):
            watched.note = ""
            if watched.started_at is not None and time.time() - watched.started_at > _STABLE_AFTER_S:
                watched.crashes_in_a_row = 0
            self._turn(watched, "ready")
        else:
            # Until it was ready once it starts; afterwards it has lost something.
            self._turn(watched, "starting" if watched.state == "starting" else "degraded")

    async def _start_again(self, watched: _Watched) -> None:
        delay_s = min(_FIRST_DELAY_S * 2**watched.crashes_in_a_row, _LONGEST_DELAY_S)
        watched.crashes_in_a_row += 1
        watched.roles = {}
        watched.note = f"{_how_it_ended(watched.process.exit_code)}; starts again in {delay_s:g} s"
        self._turn(watched, "crashed")
        await asyncio.sleep(delay_s)
        watched.restarts += 1
        watched.note = watched.note.split(";")[0]
        with contextlib.suppress(ProcessError):  # not running: the next round tries again, later
            await self._launch(watched)

    async def _stop(self, watched: _Watched, *, at_once: bool) -> None:
        if watched.watch is not None:
            watched.watch.cancel()
            await asyncio.wait([watched.watch])
        self._turn(watched, "stopping")
        await in_thread(watched.process.kill if at_once else watched.process.stop)
        watched.roles, watched.note = {}, ""
        self._turn(watched, "stopped")

    def _turn(self, watched: _Watched, state: ProcessState) -> None:
        watched.state = state
        status = watched.status()
        if status != watched.told:
            watched.told = status
            self._moved.set()
            self._moved = asyncio.Event()
            self._changed(status)


async def _until_ended(pid: int | None, seconds: float) -> None:
    """Wait for this long, or until a process has ended; where the kernel does not tell, only for a moment."""
    try:
        descriptor = os.pidfd_open(pid or 0)
    except (OSError, AttributeError):
        await asyncio.sleep(_TICK_S)
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _creation_time(pid: int | None) -> float | None:
    try:
        return psutil.Process(pid).create_time() if pid is not None else None
    except psutil.NoSuchProcess:
        return None


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is None:
        return "ended"
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    return f"killed by {signal.Signals(-exit_code).name}"
