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
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.processes import Service
from rapport_local.progress import Progress
from rapport_local.services import SERVICES, LocalService
from rapport_local.stack import Stack
from rapport_testing.child import ChildProcess
from rapport_testing.forks import fork_server_for

_IMPORTED: Final = (
    "uvloop",
    "rapport_chassis.process",
    "rapport_chassis.rpc.registration",
    *(f"{service.module}.bootstrap" for service in SERVICES),
)


class ForkedService(Service):
    """A service that is forked, each time it starts."""

    def _program(self, argv: Sequence[str], variables: Mapping[str, str], log_path: Path) -> ChildProcess:
        server = fork_server_for(_IMPORTED, variables, log_path.with_name("forks.log"))
        return ChildProcess(argv, env=variables, log_path=log_path, fork_server=server)


class Orders:
    """Carries out what the test wants, several things at once."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._running: set[asyncio.Task[None]] = set()

    async def take(self, lines: asyncio.StreamReader) -> None:
        """Carry out orders until there are no more."""
        while line := await lines.readline():
            order = json.loads(line)
            task = asyncio.create_task(self._carry_out(order["number"], order["what"], order["name"]))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _carry_out(self, number: int, what: str, name: str) -> None:
        try:
            if what == "resume":
                await self._stack.resume(name)
            else:
                await self._stack.halt(name, at_once=what == "kill")
        except Exception as error:  # the test that ordered it is told
            say(number=number, failure=repr(error))
        else:
            say(number=number)


def say(**what: Any) -> None:
    """Write one line for the test."""
    print(json.dumps(what), flush=True)


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
    stack = Stack(environment, Progress(lambda _: None), lambda _: None, services, ForkedService, durable=False)
    with environment.held():
        try:
            await stack.start()
            say(started=True)
            await Orders(stack).take(lines)
        finally:
            await stack.stop()


if __name__ == "__main__":
    os.setpgid(0, 0)  # Ctrl-C is for the test, which closes the input
    try:
        asyncio.run(main(json.loads(sys.argv[1])))
    except Failure as failure:
        sys.exit(f"{failure}\n{failure.details}")
