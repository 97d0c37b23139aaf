"""Processes are kept running: health is seen, crashes are shown and started again ever more slowly, a stop is final."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
from rapport_local.status import ProcessStatus, RoleHealth
from rapport_local.supervisor import Supervisor
from rapport_testing.child import ChildProcess
from rapport_testing.waiting import eventually

SLEEP = "import time; time.sleep(600)"


class Program:
    """A real process whose roles a test can turn."""

    def __init__(self, name: str, argv: list[str], log_path: Path) -> None:
        self.name = name
        self.address = "here"
        self.roles: dict[str, RoleHealth] = {"api": "ready"}
        self._child = ChildProcess(argv, log_path=log_path)
        self.launch, self.kill = self._child.start, self._child.kill

    @property
    def pid(self) -> int | None:
        return self._child.pid

    @property
    def is_running(self) -> bool:
        return self._child.is_running

    @property
    def exit_code(self) -> int | None:
        return self._child.returncode

    def stop(self) -> None:
        if self._child.is_running:
            self._child.terminate()

    async def probe(self) -> Mapping[str, RoleHealth]:
        return self.roles


class Watched:
    """A supervisor and everything it has said."""

    def __init__(self) -> None:
        self.said: list[ProcessStatus] = []
        self.supervisor = Supervisor(self.said.append)
        self.names: list[str] = []

    async def run(self, program: Program) -> None:
        self.supervisor.add(program)
        self.names.append(program.name)
        await self.supervisor.start(program.name)

    def state(self, name: str) -> ProcessStatus:
        return next(status for status in self.supervisor.statuses() if status.name == name)

    def states(self) -> list[str]:
        return [status.state for status in self.said]


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    made = Watched()
    yield made
    await made.supervisor.stop(made.names)


@pytest.fixture
def program(tmp_path: Path, script: Callable[[str], list[str]]) -> Callable[[str, str], Program]:
    return lambda name, text: Program(name, script(text), tmp_path / f"{name}.log")


async def test_a_process_is_ready_once_all_its_roles_are(
    watched: Watched, program: Callable[[str, str], Program]
) -> None:
    service = program("service", SLEEP)
    service.roles = {"api": "ready", "relay": "not ready"}
    await watched.run(service)
    assert not await watched.supervisor.ready(["service"], 0.5)
    service.roles = {"api": "ready", "relay": "ready"}
    assert await watched.supervisor.ready(["service"], 10)
    assert watched.state("service").pid == service.pid


async def test_a_role_that_is_lost_is_shown_as_degraded(
    watched: Watched, program: Callable[[str, str], Program]
) -> None:
    service = program("service", SLEEP)
    await watched.run(service)
    assert await watched.supervisor.ready(["service"], 10)
    service.roles = {"api": "unreachable"}
    await eventually(lambda: watched.state("service").state == "degraded")


async def test_a_killed_process_is_shown_and_started_again(
    watched: Watched, program: Callable[[str, str], Program]
) -> None:
    service = program("service", SLEEP)
    await watched.run(service)
    assert await watched.supervisor.ready(["service"], 10)
    first = service.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: watched.state("service").state == "ready" and watched.state("service").restarts == 1)
    crashed = next(status for status in watched.said if status.state == "crashed")
    assert crashed.note == "killed by SIGKILL; starts again in 0.5 s"
    assert service.pid not in (None, first)


async def test_a_process_that_always_fails_is_started_ever_more_slowly(
    watched: Watched, program: Callable[[str, str], Program]
) -> None:
    service = program("service", "import sys; sys.exit(3)")
    service.roles = {}
    await watched.run(service)
    assert not await watched.supervisor.ready(["service"], 60), "it is not waited for any longer"
    notes = [status.note for status in watched.said if status.state == "crashed"]
    assert notes[:2] == [
        "ended with exit code 3; starts again in 0.5 s",
        "ended with exit code 3; starts again in 1 s",
    ]


async def test_a_stopped_process_stays_stopped_even_while_it_waits_to_start_again(
    watched: Watched, program: Callable[[str, str], Program]
) -> None:
    service = program("service", "import sys; sys.exit(3)")
    await watched.run(service)
    await eventually(lambda: watched.state("service").state == "crashed")
    await watched.supervisor.stop(["service"])
    assert not service.is_running
    assert watched.states()[-1] == "stopped"
