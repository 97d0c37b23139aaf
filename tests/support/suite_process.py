"""The program that runs the whole suite for tests: what `rapport up` runs, and each part of it halts when told to.

`python suite_process.py CONFIGURATION`: orders come in as lines of JSON at the standard input, an answer goes out for
each; at the end of the input everything stops. Services are forked from a process that has imported all of them, which
spares most of the work of a start.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rapport_local import access
from rapport_local.environment import HOST, Environment
from rapport_local.failure import Failure
from rapport_local.probe import RoleProbe
from rapport_local.processes import Service
from rapport_local.progress import Progress
from rapport_local.service_settings import Connections, variables
from rapport_local.services import SERVICES, LocalService
from rapport_local.stack import Stack
from rapport_testing.child import ChildProcess
from rapport_testing.forks import fork_server_for
from rapport_testing.free_ports import free_port
from rapport_testing.waiting import eventually

_LOOK_S: Final = 0.1
_READY_S: Final = 90.0
_ANSWERS: Final = 9
"""Descriptor that answers go to."""
_IMPORTED: Final = (
    "uvloop",
    "rapport_chassis.process",
    "rapport_chassis.rpc.registration",
    *(f"{service.module}.bootstrap" for service in SERVICES),
)


class ForkedService(Service):
    """A service that is forked, each time it starts."""

    def _program(self, argv: Sequence[str], environment: Mapping[str, str], log_path: Path) -> ChildProcess:
        server = fork_server_for(_IMPORTED, environment, log_path.with_name("forks.log"))
        return ChildProcess(argv, env=environment, log_path=log_path, fork_server=server)


class Orders:
    """Carries out what the test wants, several things at once."""

    def __init__(self, environment: Environment, stack: Stack, services: Sequence[LocalService]) -> None:
        self._environment = environment
        self._stack = stack
        self._services = {service.name: service for service in services}
        self._replicas: dict[str, ForkedService] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def take(self, lines: asyncio.StreamReader) -> None:
        """Carry out orders until there are no more."""
        while line := await lines.readline():
            order = json.loads(line)
            task = asyncio.create_task(self._carry_out(order["number"], order["what"], order["name"]))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def end(self) -> None:
        """Leave nothing running that was started here."""
        for replica in self._replicas.values():
            replica.kill()
            await replica.close()

    async def _carry_out(self, number: int, what: str, name: str) -> None:
        carry_out = {"halt": self._halt, "kill": self._kill, "resume": self._resume, "replica": self._replica}[what]
        try:
            say(number=number, done=await carry_out(name))
        except Exception as error:  # the test that ordered it is told
            say(number=number, failure=repr(error))

    async def _halt(self, name: str) -> None:
        if (replica := self._replicas.pop(name, None)) is not None:
            await asyncio.to_thread(replica.stop)
            await replica.close()
        else:
            await self._stack.halt(name)

    async def _kill(self, name: str) -> None:
        await self._stack.halt(name, at_once=True)

    async def _resume(self, name: str) -> None:
        await self._stack.resume(name)

    async def _replica(self, name: str) -> str:
        """Start a second process of a service, and return where it serves once it is ready."""
        service, port = self._services[name], free_port()
        ports = self._environment.remembered_ports() | {name: port, f"{name} http": free_port()}
        address, log = f"{HOST}:{port}", self._environment.log_of(f"{name}-replica")
        probe = RoleProbe(address, access.tls_files(self._environment, access.CLI))
        connections = Connections(f"tls://{HOST}:{ports['nats']}", ports)
        given = variables(service, self._environment, connections)
        replica = self._replicas[f"{name} replica"] = ForkedService(name, service.module, given, address, log, probe)
        await asyncio.to_thread(replica.launch)

        async def ready() -> bool:
            return set((await replica.probe()).values()) == {"ready"}

        await eventually(ready, _READY_S, _LOOK_S, message=f"a second {name} is ready; its log is {log}")
        return address


def say(**what: Any) -> None:
    """Write one line for the test."""
    os.write(_ANSWERS, json.dumps(what).encode() + b"\n")


def wanted(settings: Mapping[str, Mapping[str, str]], only: Sequence[str]) -> list[LocalService]:
    """Return the services to start, with the settings of the test."""
    return [
        replace(each, settings={**each.settings, **settings.get(each.name, {})})
        for each in SERVICES
        if not only or each.name in only
    ]


async def main(configuration: Mapping[str, Any]) -> None:
    """Start everything, take orders, stop everything."""
    environment = Environment.at(Path(configuration["folder"]))
    environment.create()
    for client, permissions in configuration["clients"].items():
        access.add_client(environment, client, permissions)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    services = wanted(configuration["settings"], configuration["only"])
    durable = configuration["durable"]
    stack = Stack(environment, Progress(lambda _: None), lambda _: None, services, ForkedService, durable=durable)
    orders = Orders(environment, stack, services)
    with environment.held():
        try:
            await stack.start()
            say(started=True)
            await orders.take(lines)
        finally:
            await orders.end()
            await stack.stop()


if __name__ == "__main__":
    os.setpgid(0, 0)  # Ctrl-C is for the test, which closes the input
    os.dup2(sys.stdout.fileno(), _ANSWERS)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    try:
        asyncio.run(main(json.loads(sys.argv[1])))
    except Failure as failure:
        sys.exit(f"{failure}\n{failure.details}")
