"""The folder of one local environment: what lies where, who holds it, and which ports it took."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rapport_testing.files import replace_file
from rapport_testing.free_ports import free_port
from rapport_testing.waiting import becomes_true

from rapport_local.failure import Failure

FOLDER_VARIABLE = "RAPPORT_FOLDER"
DEFAULT_FOLDER = Path(".rapport")
HOST = "127.0.0.1"
SERVERS = ("postgres", "nats", "mails")
"""Processes that are no service: what services stand on."""

STREAM_PREFIX = "RAPPORT"
"""First part of every stream's name."""

STREAM_MAX_BYTES = 256 * 1024**2
"""Byte cap of each stream here: the declared one would reserve more of the disk than a desk has to spare."""
_LOCK_PATIENCE_S = 0.3


@dataclass(frozen=True)
class Environment:
    """Everything one environment keeps is under one folder, closed to other users; two share nothing.

    Attributes:
        folder: The folder, as an absolute path.
    """

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> Environment:
        """Return the environment of a folder, which need not exist yet."""
        return cls(folder.expanduser().absolute())

    @property
    def exists(self) -> bool:
        """Whether the folder has been made by `create`."""
        return self.logs.is_dir()

    @property
    def certificates(self) -> Path:
        """Folder of the own authority and of the certificates it issued."""
        return self.folder / "certificates"

    @property
    def secrets(self) -> Path:
        """Folder of passwords and private keys that are not certificates' keys."""
        return self.folder / "secrets"

    @property
    def data(self) -> Path:
        """Folder of what the servers store."""
        return self.folder / "data"

    @property
    def logs(self) -> Path:
        """Folder of one log per process."""
        return self.folder / "logs"

    @property
    def telemetry(self) -> Path:
        """Folder of spans and metrics of all services."""
        return self.folder / "telemetry"

    @property
    def policy_file(self) -> Path:
        """Which certificate and which role holds which permissions."""
        return self.folder / "policy.yaml"

    @property
    def issuers_file(self) -> Path:
        """Whose actor tokens the services trust."""
        return self.folder / "issuers.json"

    @property
    def participants_file(self) -> Path:
        """Who takes part in privacy requests, where it is not every service and nobody else: as consent is told it."""
        return self.folder / "participants.json"

    @property
    def login_file(self) -> Path:
        """Who is logged in on this machine."""
        return self.folder / "login.json"

    @property
    def state_file(self) -> Path:
        """What the running environment says about its processes."""
        return self.folder / "state.json"

    @property
    def lock_file(self) -> Path:
        """Locked, and naming the process id, as long as the environment runs."""
        return self.folder / "lock"

    @property
    def mails(self) -> Path:
        """Folder of the mails that services have sent, one file each."""
        return self.data / "mails"

    def service_folder(self, service: str) -> Path:
        """Return the folder of what one service keeps outside its database."""
        return self.data / service

    def log_of(self, process: str) -> Path:
        """Return where a process writes its log."""
        return self.logs / f"{process}.log"

    def create(self) -> None:
        """Make the folders that are missing, all closed to other users.

        Raises:
            Failure: The folder cannot be made or belongs to somebody else.
        """
        try:
            for folder in (self.folder, self.certificates, self.secrets, self.data, self.logs, self.telemetry):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # It may lie in a checkout, and holds keys.
            (self.folder / ".gitignore").write_text("*\n", encoding="ascii")
        except OSError as error:
            raise Failure(f"{self.folder} cannot be used: {error.strerror}", hint="choose another --folder") from error

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the environment for this process; the lock goes with the process, however it ends.

        Raises:
            Failure: Another process holds it.
        """
        with self.lock_file.open("a+", encoding="ascii") as lock:
            # Tried for a moment: whoever looks whether the environment runs has the lock for an instant too.
            if not becomes_true(lambda: _lock(lock), _LOCK_PATIENCE_S):
                raise Failure(
                    f"an environment runs in {self.folder} already (process {self.holder()})",
                    hint="look at it with `rapport status`, stop it with `rapport down`, or choose another --folder",
                )
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            try:
                yield
            finally:
                lock.truncate(0)

    def holder(self) -> int | None:
        """Return the process id that holds the environment, None if it does not run."""
        try:
            with self.lock_file.open("r+", encoding="ascii") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(lock.read() or 0)
        except (OSError, ValueError):
            pass
        return None

    def take_port(self, name: str) -> int:
        """Return the port a process had last time, or a free one if somebody else has it by now; remember it."""
        ports = self.remembered_ports()
        port = ports.get(name)
        if port is None or not is_free(port):
            taken = set(ports.values())
            port = next(port for port in iter(free_port, None) if port not in taken)
            ports[name] = port
            replace_file(self.folder / "ports.json", json.dumps(ports, indent=2).encode(), mode=0o600)
        return port

    def remembered_ports(self) -> dict[str, int]:
        """Return the port of each process that has one."""
        try:
            return dict(json.loads((self.folder / "ports.json").read_bytes()))
        except (OSError, ValueError):
            return {}


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_free(port: int) -> bool:
    """Say whether a port of this machine can be listened on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections linger is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
