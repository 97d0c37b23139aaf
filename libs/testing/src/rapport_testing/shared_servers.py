"""The PostgreSQL and NATS servers of one test run: started when first asked for, by whichever worker asks.

The process that controls the run owns them, so that they live exactly as long as the run; its workers ask it over a
Unix socket. Servers given by URL are used instead and are not stopped.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import socketserver
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import psutil

from rapport_testing.child import ProcessError
from rapport_testing.nats import NatsServer, NatsUser
from rapport_testing.postgres import PostgresServer

POSTGRES_VARIABLE = "RAPPORT_TEST_POSTGRES_URL"
NATS_VARIABLE = "RAPPORT_TEST_NATS_URL"

# One for each worker: accounts share nothing, so tests that run at the same time may use the same subjects.
_NATS_ACCOUNTS = 64
_FOLDER_PREFIX = "rapport-run-"
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
_ROOM = 2 << 30


class Servers(Protocol):
    """Where a test process gets the addresses of the run's servers."""

    def postgres_url(self) -> str:
        """Return the URL of the PostgreSQL superuser."""
        ...

    def nats_url(self, worker: int) -> str:
        """Return the NATS URL for the worker of this number."""
        ...


class OwnedServers:
    """The servers of this process, for itself and for the workers it answers."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._postgres: PostgresServer | None = None
        self._nats: NatsServer | None = None
        self._desk: _Desk | None = None

    def postgres_url(self) -> str:
        """Return the URL of the PostgreSQL superuser; the server is started at the first call."""
        if POSTGRES_VARIABLE in self._environment:
            return self._environment[POSTGRES_VARIABLE]
        with self._lock:
            if self._postgres is None:
                # Nobody kills this one, and it is thrown away with the run: it need not wait for the disk.
                settings = {"max_wal_size": "256MB"}
                server = PostgresServer(self._run_folder() / "postgres", durable=False, settings=settings)
                server.start()
                self._postgres = server
            return self._postgres.dsn()

    def nats_url(self, worker: int) -> str:
        """Return the NATS URL for the worker of this number; the server is started at the first call."""
        if NATS_VARIABLE in self._environment:
            return self._environment[NATS_VARIABLE]
        with self._lock:
            if self._nats is None:
                password = secrets.token_hex(8)
                users = [
                    NatsUser(f"worker{n}", (">",), (">",), password=password, account=f"WORKER{n}")
                    for n in range(_NATS_ACCOUNTS)
                ]
                server = NatsServer(self._run_folder() / "nats", users=users)
                server.start()
                self._nats = server
            return self._nats.url_for(self._nats.users[worker])

    def cluster(self) -> Path:
        """Return where the cluster is kept that those of the run begin as copies of."""
        with self._lock:
            return self._run_folder() / "cluster"

    def answer_workers(self) -> str:
        """Start to answer workers and return the path of the socket to ask at."""
        with self._lock:
            if self._desk is None:
                self._desk = _Desk(str(self._run_folder() / "desk"), self)
                threading.Thread(target=self._desk.serve_forever, name="shared servers", daemon=True).start()
            return self._desk.path

    def stop(self) -> None:
        """Stop what was started and remove its files."""
        if self._desk is not None:
            self._desk.shutdown()
            self._desk.server_close()
        with self._lock:
            if self._postgres is not None:
                self._postgres.stop("immediate")
            if self._nats is not None:
                self._nats.kill()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    def _run_folder(self) -> Path:
        if self._folder is None:
            _remove_folders_of_killed_runs()
            self._folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-", dir=_place()))
        return self._folder


class AskedServers:
    """The servers of the process that controls the run, as a worker sees them."""

    def __init__(self, path: str) -> None:
        self._path = path

    def postgres_url(self) -> str:
        """Return the URL of the PostgreSQL superuser."""
        return self._ask("postgres", 0)

    def nats_url(self, worker: int) -> str:
        """Return the NATS URL for the worker of this number."""
        return self._ask("nats", worker)

    def _ask(self, what: str, worker: int) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self._path)
            connection.sendall(json.dumps({"what": what, "worker": worker}).encode() + b"\n")
            with connection.makefile("rb") as answer:
                document = json.loads(answer.readline())
        if "error" in document:
            raise ProcessError(document["error"])
        return str(document["url"])


class _Desk(socketserver.ThreadingUnixStreamServer):
    """Answers each connection with one URL; the folder of its socket is closed to other users."""

    daemon_threads = True

    def __init__(self, path: str, servers: OwnedServers) -> None:
        super().__init__(path, _Question)
        self.path = path
        self.servers = servers


class _Question(socketserver.StreamRequestHandler):
    server: _Desk

    def handle(self) -> None:
        question = json.loads(self.rfile.readline())
        try:
            if question["what"] == "postgres":
                url = self.server.servers.postgres_url()
            else:
                url = self.server.servers.nats_url(question["worker"])
            answer = {"url": url}
        except (ProcessError, OSError, IndexError) as error:
            answer = {"error": str(error)}
        self.wfile.write(json.dumps(answer).encode() + b"\n")


def _place() -> Path:
    """Return where files go: to memory if there is enough and no other place is named (`TMPDIR`).

    Each test has a database of its own, and to make one is to copy 300 files.
    """
    if "TMPDIR" not in os.environ and _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK):
        room = min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available // 2)
        if room >= _ROOM:
            return _MEMORY
    return Path(tempfile.gettempdir())


def _remove_folders_of_killed_runs() -> None:
    """A run that was killed took its servers with it, but not their files."""
    places = (Path(tempfile.gettempdir()), _MEMORY)
    for folder in (folder for place in places for folder in place.glob(f"{_FOLDER_PREFIX}*")):
        with contextlib.suppress(ValueError, OSError):
            pid = int(folder.name.removeprefix(_FOLDER_PREFIX).split("-")[0])
            if not psutil.pid_exists(pid) and folder.stat().st_uid == os.geteuid():
                shutil.rmtree(folder, ignore_errors=True)
