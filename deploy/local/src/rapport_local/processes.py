"""The processes of an environment, all alike to the supervisor: PostgreSQL, NATS, the mail server and the services."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import psycopg
from rapport_testing.child import ChildProcess, ProcessError
from rapport_testing.nats import NatsServer, NatsUser
from rapport_testing.postgres import PostgresServer

from rapport_local.concurrency import in_thread
from rapport_local.environment import HOST
from rapport_local.probe import RoleProbe
from rapport_local.status import RoleHealth

_SERVICE_STOP_TIMEOUT_S = 25.0
_CONNECT_TIMEOUT_S = 2


class ManagedProcess(Protocol):
    """What the supervisor needs to know of a process."""

    @property
    def name(self) -> str:
        """Its name, also that of its log."""
        ...

    @property
    def address(self) -> str:
        """Where others reach it."""
        ...

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        ...

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        ...

    @property
    def exit_code(self) -> int | None:
        """How it ended last, negative if by a signal; None if that is not known."""
        ...

    def launch(self) -> None:
        """Start it and return once it runs, ready or not; blocks.

        Raises:
            ProcessError: It did not start.
        """

    def stop(self) -> None:
        """Let it finish and end; kill it if it does not; blocks."""

    def kill(self) -> None:
        """End it at once; blocks until it is gone."""

    async def probe(self) -> Mapping[str, RoleHealth]:
        """Ask each of its roles whether it is ready."""
        ...


class Postgres:
    """The PostgreSQL server, reached through a socket in a folder of its own: it takes no port."""

    name = "postgres"

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.address = str(server.socket_folder)
        self.exit_code: int | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        return self.server.pid

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self.server.is_running

    def launch(self) -> None:
        """Start it and wait until it takes connections."""
        self.server.start()

    def stop(self) -> None:
        """Cut the connections and end it in order."""
        self.server.stop("fast")

    def kill(self) -> None:
        """End it at once."""
        self.server.kill()

    async def probe(self) -> Mapping[str, RoleHealth]:
        """Say whether it answers."""
        try:
            connection = await psycopg.AsyncConnection.connect(self.server.dsn(), connect_timeout=_CONNECT_TIMEOUT_S)
            async with connection, asyncio.timeout(_CONNECT_TIMEOUT_S):
                await connection.execute("SELECT 1")
        except (psycopg.Error, TimeoutError):
            return {"server": "unreachable"}
        return {"server": "ready"}


class Nats:
    """The NATS server.

    Args:
        server: The server.
        users: Who may connect, at present: it takes up changes as it is probed.
    """

    name = "nats"

    def __init__(self, server: NatsServer, users: Callable[[], Sequence[NatsUser]]) -> None:
        self.server = server
        self._users = users
        self.address = f"127.0.0.1:{server.port}"
        self.exit_code: int | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        return self.server.pid

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self.server.is_running

    def launch(self) -> None:
        """Start it and wait until its streams are restored."""
        self.server.start()

    def stop(self) -> None:
        """Let it finish its files and end."""
        self.server.stop()

    def kill(self) -> None:
        """End it at once."""
        self.server.kill()

    async def probe(self) -> Mapping[str, RoleHealth]:
        """Say whether its streams answer."""
        try:
            await in_thread(self.server.wait_ready, _CONNECT_TIMEOUT_S)
            await in_thread(self._take_up_users)
        except ProcessError:
            return {"server": "unreachable"}
        return {"server": "ready"}

    def _take_up_users(self) -> None:
        users = tuple(self._users())
        if users != self.server.users:
            self.server.reload(users)


class Mails:
    """The mail server, which puts each mail into a folder.

    Args:
        port: Where it listens.
        folder: Where mails are put.
        log_path: Where its log goes.
    """

    name = "mails"

    def __init__(self, port: int, folder: Path, log_path: Path) -> None:
        self.address = f"{HOST}:{port}"
        self._port = port
        self._child = ChildProcess(
            [sys.executable, "-m", "rapport_local.mail_sink", str(port), str(folder)],
            log_path=log_path,
            env=child_environment({}),
        )

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._child.is_running

    @property
    def exit_code(self) -> int | None:
        """How it ended last, negative if by a signal."""
        return self._child.returncode

    def launch(self) -> None:
        """Start it."""
        self._child.start()

    def stop(self) -> None:
        """Let it end."""
        if self._child.is_running:
            self._child.terminate(_CONNECT_TIMEOUT_S)

    def kill(self) -> None:
        """End it at once."""
        self._child.kill()

    async def probe(self) -> Mapping[str, RoleHealth]:
        """Say whether it takes connections."""
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                _, writer = await asyncio.open_connection(HOST, self._port)
        except (OSError, TimeoutError):
            return {"server": "unreachable"}
        writer.close()
        return {"server": "ready"}


class Service:
    """One service: `python -m rapport_<name> serve`.

    Args:
        name: Its name.
        module: What `python -m` runs.
        variables: Its settings.
        address: Where it will serve.
        log_path: Where its log goes.
        probe: Asks its roles.
    """

    def __init__(
        self, name: str, module: str, variables: Mapping[str, str], address: str, log_path: Path, probe: RoleProbe
    ) -> None:
        self.name = name
        self.address = address
        self._probe = probe
        self._child = self._program([sys.executable, "-m", module, "serve"], child_environment(variables), log_path)

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._child.is_running

    @property
    def exit_code(self) -> int | None:
        """How it ended last, negative if by a signal."""
        return self._child.returncode

    def launch(self) -> None:
        """Start it."""
        self._child.start()

    def stop(self) -> None:
        """Let it drain and end."""
        if self._child.is_running:
            self._child.terminate(_SERVICE_STOP_TIMEOUT_S)

    def kill(self) -> None:
        """End it at once."""
        self._child.kill()

    async def probe(self) -> Mapping[str, RoleHealth]:
        """Ask each role for its health."""
        return await self._probe.ask() if self._child.is_running else {}

    async def close(self) -> None:
        """Close the connection it is asked through."""
        await self._probe.close()

    def _program(self, argv: Sequence[str], variables: Mapping[str, str], log_path: Path) -> ChildProcess:
        """Return the program, not yet started."""
        return ChildProcess(argv, log_path=log_path, env=variables)


def child_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables a child gets: ours without settings meant for other installations, and its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}
    return {**inherited, **variables}
