"""grpc.health.v1: whether this process lives, and which of its roles and services are ready.

Names that can be asked for: `liveness` (serving as long as the process can answer), each role (`api`, `events`,
`relay`), each service (ready with the role `api`), and the empty name (ready with `api`, or with all roles in a process
without it). A role is ready once all its checks pass; one role's trouble never takes another one out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rapport_chassis.clock import Clock, SystemClock
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.telemetry.logs import get_logger

Role = Literal["api", "events", "relay"]
ROLES: Final[tuple[Role, ...]] = ("api", "events", "relay")
LIVENESS: Final = "liveness"

_LOOK_AGAIN_S: Final = 0.5

Check = Callable[[], Awaitable[object]]
"""Returns when what it looks at is well, and raises when it is not."""

_SERVING = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
_NOT_SERVING = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.NOT_SERVING)
_UNKNOWN = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)


@dataclass(frozen=True, slots=True)
class CheckState:
    """What is known of one dependency.

    Attributes:
        role: The role that needs it.
        name: Its name.
        healthy: Whether the last check passed; False before the first.
        problem: Reason of the error it failed with, else the exception's class; "not checked yet" before the first.
    """

    role: Role
    name: str
    healthy: bool = False
    problem: str = "not checked yet"


class Health:
    """Readiness of the roles this process has. Everything starts NOT_SERVING."""

    def __init__(self, roles: Iterable[Role] = ROLES, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._roles = tuple(roles)
        self._checks: dict[tuple[Role, str], tuple[Check, float]] = {}
        self._states: dict[tuple[Role, str], CheckState] = {}
        self._services: list[str] = []
        self._answers: dict[str, health_pb2.HealthCheckResponse] = {LIVENESS: _NOT_SERVING, "": _NOT_SERVING}
        self._answers |= dict.fromkeys(self._roles, _NOT_SERVING)
        self._open = False
        self._ended = asyncio.Event()
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def add_service(self, name: str) -> None:
        """Answer for a service by its full name: it is ready with the role `api`."""
        self._services.append(name)
        self._answers[name] = _NOT_SERVING

    def register(self, role: Role, name: str, check: Check, every_s: float = 5.0) -> None:
        """Make a role's readiness depend on a check, run every so many seconds; ignored for a role not run here.

        A check that takes longer than `every_s` counts as failed. One that failed is run again sooner, so that what is
        well again turns ready at once.

        Raises:
            ValueError: The role already has a check of that name.
        """
        if role not in self._roles:
            return
        if (role, name) in self._checks:
            raise ValueError(f"{role} already has a check named {name}")
        self._checks[role, name] = (check, every_s)
        self._states[role, name] = CheckState(role, name)
        if self._open:
            self._tasks.append(asyncio.create_task(self._repeat(role, name)))

    def start(self) -> None:
        """Say that the process lives and begin to check."""
        self._open = True
        self._tasks += [asyncio.create_task(self._repeat(role, name)) for role, name in self._checks]
        self._publish()

    def not_serving(self) -> None:
        """Take all readiness back for good: the process is about to stop. It still lives."""
        self._stop_checking()
        self._publish()

    def end_watches(self) -> None:
        """End all Watch streams: an open one would keep the server from stopping (it waits out its whole grace)."""
        self._stop_checking()
        self._ended.set()
        self._wake()

    def ready(self, role: Role) -> bool:
        """Say whether all checks of a role have passed."""
        return self._answers[role] is _SERVING

    def describe(self) -> list[CheckState]:
        """Return what is known of each dependency, by role and name."""
        return sorted(self._states.values(), key=lambda state: (state.role, state.name))

    def answer(self, name: str) -> health_pb2.HealthCheckResponse | None:
        """Return the present answer for a name; None for an unknown one."""
        return self._answers.get(name)

    def answers(self) -> dict[str, health_pb2.HealthCheckResponse]:
        """Return the present answers by name."""
        return dict(self._answers)

    async def watch(self, name: str) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Yield the answer for a name, and again after each change, until the process stops."""
        sent: health_pb2.HealthCheckResponse | None = None
        while not self._ended.is_set():
            changed = self._changed
            now = self._answers.get(name, _UNKNOWN)
            if now is not sent:
                sent = now
                yield now
            await changed.wait()

    def _stop_checking(self) -> None:
        self._open = False
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    async def _repeat(self, role: Role, name: str) -> None:
        check, every_s = self._checks[role, name]
        while True:
            problem = ""
            try:
                async with asyncio.timeout(every_s):
                    await check()
            except RapportError as error:
                problem = error.reason.name
            except Exception as error:
                problem = type(error).__qualname__
            self._note(CheckState(role, name, not problem, problem))
            await self._clock.sleep(min(every_s, _LOOK_AGAIN_S) if problem else every_s)

    def _note(self, state: CheckState) -> None:
        before = self._states[state.role, state.name]
        if state == before:
            return
        self._states[state.role, state.name] = state
        log = get_logger()
        if state.healthy:
            log.info("check_passed", role=state.role, check=state.name)
        else:
            log.warning("check_failed", role=state.role, check=state.name, reason=state.problem)
        self._publish()

    def _publish(self) -> None:
        """Work out all answers again; log roles that turn."""
        ready: dict[Role, bool] = dict.fromkeys(self._roles, self._open)
        for state in self._states.values():
            ready[state.role] = ready[state.role] and state.healthy
        for role in self._roles:
            if ready[role] != (self._answers[role] is _SERVING):
                get_logger().info("readiness_changed", role=role, state="SERVING" if ready[role] else "NOT_SERVING")
        api = ready["api"] if "api" in ready else all(ready.values())
        self._answers |= {role: _answer(ready[role]) for role in self._roles}
        self._answers |= {name: _answer(api) for name in ("", *self._services)}
        self._answers[LIVENESS] = _answer(not self._ended.is_set())
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class HealthServicer(health_pb2_grpc.HealthServicer):
    """The service itself."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def Check(  # noqa: N802 - gRPC's name
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> health_pb2.HealthCheckResponse:
        """Return whether a name is ready.

        Raises:
            RapportError: NOT_FOUND for a name this process does not know.
        """
        answer = self._health.answer(request.service)
        if answer is None:
            raise CHASSIS_ERRORS.error("NOT_FOUND", "no such service here")
        return answer

    async def List(  # noqa: N802 - gRPC's name
        self, request: health_pb2.HealthListRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> health_pb2.HealthListResponse:
        """Return whether each name is ready."""
        return health_pb2.HealthListResponse(statuses=self._health.answers())

    async def Watch(  # noqa: N802 - gRPC's name
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Stream whether a name is ready, until the process stops."""
        async for answer in self._health.watch(request.service):
            yield answer


def _answer(ready: bool) -> health_pb2.HealthCheckResponse:
    return _SERVING if ready else _NOT_SERVING
