"""A service's process: its parts start without waiting for one another, and stop in an order that loses nothing."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.rpc.health import ROLES, Health, Role
from rapport_chassis.rpc.server import Server
from rapport_chassis.telemetry.logs import get_logger, guard_loop
from rapport_chassis.telemetry.setup import Telemetry

_FIRST_RETRY_S: Final = 0.1
_LAST_RETRY_S: Final = 15.0
_STARTED_S: Final = 60.0
"""What has started has started: only until then is health looked at more often."""
_HEAD_START_S: Final = 2.0
_STOP_LIMIT_S: Final = 30.0


class Component(Protocol):
    """A part of the process that runs by itself: a consumer, the relay, a listener, a follower."""

    @property
    def name(self) -> str:
        """Name in logs and health."""
        ...

    @property
    def role(self) -> str:
        """The role it belongs to ("api", "events", "relay"), or "all" for one that every process has."""
        ...

    async def start(self) -> None:
        """Begin. Raises when something it needs is missing; it is then asked again, later."""
        ...

    async def stop(self) -> None:
        """Take on nothing new at once, finish what was begun, and return. Also called if it never started."""
        ...


class Resource(Protocol):
    """What other parts stand on: the database pool."""

    async def open(self) -> None:
        """Begin. Raises when it cannot; it is then asked again, later."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


@dataclass(frozen=True)
class Assembly:
    """What a service's bootstrap has put together. All health checks are registered by then.

    Attributes:
        telemetry: Flushed at the end.
        server: The gRPC server; in a process without the role `api` it answers for health alone.
        roles: The roles of this process.
        drain_s: How long to go on serving after readiness was taken back.
        database: Opened first, closed last.
        nats: Connected before the components, drained after them.
        http: The HTTP listener; stops together with the gRPC server.
        components: Consumers, relay, followers, sweepers.
    """

    telemetry: Telemetry
    server: Server
    roles: tuple[Role, ...]
    drain_s: float
    database: Resource | None = None
    nats: Component | None = None
    http: Component | None = None
    components: Sequence[Component] = field(default=())


async def serve(assembly: Assembly) -> int:
    """Run the process until SIGTERM or SIGINT; a second one cuts the drain short. Return the exit code.

    Start: the gRPC server (alive, not yet ready), database and NATS, then all components side by side. What cannot
    start is tried again for ever and keeps its own role unready, no other.

    Stop: NOT_SERVING; go on serving for `drain_s`, since load balancers hear of it late; consumers fetch no more; the
    listeners finish their calls; consumers finish their messages; the other components stop; NATS is drained;
    telemetry is flushed; the database is closed.
    """
    loop = asyncio.get_running_loop()
    guard_loop(loop)
    signals = _Signals(loop)
    wanted = [*assembly.components, *([assembly.http] if assembly.http else [])]
    components = [each for each in wanted if each.role == "all" or each.role in assembly.roles]
    starting = _Starting(assembly.server.health)
    try:
        await assembly.server.start()
        resources = [
            *([starting.begin("database", "all", assembly.database.open)] if assembly.database else []),
            *([starting.begin("nats", assembly.nats.role, assembly.nats.start)] if assembly.nats else []),
        ]
        if resources:
            await asyncio.wait(resources, timeout=_HEAD_START_S)
        for component in components:
            starting.begin(component.name, component.role, component.start)
        await signals.first.wait()
        get_logger().info("stopping", signal=signals.received)
        assembly.server.health.not_serving()
        if "api" in assembly.roles:
            await _at_most(assembly.drain_s, signals.second.wait())
    finally:
        await starting.cancel()
        await _stop(assembly, components)
        signals.remove()
    get_logger().info("stopped")
    return 0


async def _stop(assembly: Assembly, components: Sequence[Component]) -> None:
    consumers = [asyncio.create_task(_quietly(each.name, each.stop())) for each in components if each.role == "events"]
    await asyncio.sleep(0)  # each has begun to stop: nothing is fetched any more
    listeners = [_quietly("grpc", assembly.server.stop())]
    if assembly.http is not None and assembly.http in components:
        listeners.append(_quietly(assembly.http.name, assembly.http.stop()))
    await asyncio.gather(*listeners)
    await asyncio.gather(*consumers)
    others = [each for each in components if each.role != "events" and each is not assembly.http]
    await asyncio.gather(*(_quietly(each.name, each.stop()) for each in others))
    if assembly.nats is not None:
        await _quietly("nats", assembly.nats.stop())
    await _quietly("telemetry", asyncio.to_thread(assembly.telemetry.shutdown))
    if assembly.database is not None:
        await _quietly("database", assembly.database.close())


async def _quietly(name: str, stopping: Awaitable[object]) -> None:
    """Wait for a part to stop; one that fails or hangs does not keep the others from stopping."""
    try:
        async with asyncio.timeout(_STOP_LIMIT_S):
            await stopping
    except Exception as error:
        get_logger().error("stop_failed", component=name, exc_info=error)


async def _at_most(seconds: float, waiting: Awaitable[object]) -> None:
    try:
        await asyncio.wait_for(waiting, seconds)
    except TimeoutError:
        return


class _Starting:
    """Starts parts in the background, again and again until they have started."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, name: str, role: str, start: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Start a part; until it has started, its role is not ready; one of "all" roles holds up none."""
        task = asyncio.create_task(self._until_started(name, start), name=f"start {name}")
        self._tasks.append(task)
        if role in ROLES:

            async def started() -> None:
                if not task.done():
                    raise CHASSIS_ERRORS.error("NOT_READY", f"{name} has not started", metadata={"component": name})

            self._health.register(role, f"{name}.started", started, every_s=_STARTED_S)
        return task

    async def cancel(self) -> None:
        """Give up on what has not started."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _until_started(self, name: str, start: Callable[[], Awaitable[None]]) -> None:
        delay_s = _FIRST_RETRY_S
        attempt = 1
        while True:
            try:
                await start()
            except Exception as error:
                get_logger().warning("start_failed", component=name, attempt=attempt, delay_s=delay_s, exc_info=error)
            else:
                get_logger().info("started", component=name, attempt=attempt)
                return
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries, hides nothing
            delay_s = min(delay_s * 2, _LAST_RETRY_S)
            attempt += 1


class _Signals:
    """SIGTERM and SIGINT, counted."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self.received = ""
        self._loop = loop
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._receive, number)

    def _receive(self, number: signal.Signals) -> None:
        self.received = number.name
        (self.second if self.first.is_set() else self.first).set()

    def remove(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.remove_signal_handler(number)
