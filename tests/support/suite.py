"""All five services with their servers, run by a process of their own; any part can be halted, killed and resumed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from queue import Queue
from typing import Any, Final

from click.testing import CliRunner, Result
from rapport_local.environment import Environment
from rapport_local.main import main
from rapport_local.services import SERVICES
from rapport_local.status import EnvironmentStatus, live_status
from rapport_testing.waiting import eventually_sync

SERVICE_NAMES: Final = tuple(service.name for service in SERVICES)
_PROGRAM: Final = Path(__file__).with_name("suite_process.py")
_START_S: Final = 170.0
_ORDER_S: Final = 120.0
_LOOK_S: Final = 0.1
_NO_COMPLAINTS: Final = ('"level":"info"', '"check_failed"', '"consumer_state"', '"relay_state"')
"""What is also said while something is down that a test has taken down."""
_COMPLAINTS: Final = 12
_COMPLAINT: Final = 600


class Suite:
    """One environment, as `rapport` commands and clients see it, and its parts in the hand of a test.

    Args:
        folder: Where it is.
        clients: Certificates to issue beside the environment's own: name -> permissions.
        settings: Settings that differ from those of `rapport up`: service -> name -> value.
        only: The services that run; all five if none is named.
        durable: Whether commits reach the disk.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clients: Mapping[str, Sequence[str]] | None = None,
        settings: Mapping[str, Mapping[str, str]] | None = None,
        only: Sequence[str] = (),
        durable: bool = False,
    ) -> None:
        self.environment = Environment.at(folder)
        self._configuration = {
            "folder": str(folder),
            "clients": {name: list(held) for name, held in (clients or {}).items()},
            "settings": {name: dict(values) for name, values in (settings or {}).items()},
            "only": list(only),
            "durable": durable,
        }
        self._process: subprocess.Popen[str] | None = None
        self._listener: threading.Thread | None = None
        self._numbers = count(1)
        self._answers: dict[int, Queue[dict[str, Any]]] = {}
        self._started: Queue[dict[str, Any]] = Queue()
        self._replicas: set[str] = set()
        self._lock = threading.Lock()
        self._log = folder.with_suffix(".log")

    def start(self) -> None:
        """Start everything and wait until it is ready."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(_PROGRAM), json.dumps(self._configuration)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._listener = threading.Thread(target=self._listen, args=(self._process,), name="suite", daemon=True)
        self._listener.start()
        told = self._started.get(timeout=_START_S)
        assert told == {"started": True}, self._log.read_text()
        eventually_sync(lambda: self.status().all_ready, _START_S, _LOOK_S, message="everything is ready")

    def halt(self, name: str) -> None:
        """Let a part finish and end, and stay ended."""
        self._replicas.discard(name)
        self._order("halt", name)

    def kill(self, name: str) -> None:
        """Kill a part (SIGKILL); it stays ended."""
        self._order("kill", name)

    def resume(self, name: str) -> None:
        """Start a part that was ended, and wait until it is ready."""
        self._order("resume", name)
        eventually_sync(lambda: self.is_ready(name), _ORDER_S, _LOOK_S, message=f"{name} is ready again")

    def replica(self, service: str) -> str:
        """Start a second process of a service beside the first, and return where it serves; `halt` ends it.

        It is ended under the name "<service> replica".
        """
        self._replicas.add(f"{service} replica")
        return str(self._order("replica", service))

    def mend(self) -> None:
        """Start again what a test that failed has left ended."""
        for replica in self._replicas.copy():
            self.halt(replica)
        for process in self.status().processes:
            if process.state in ("stopping", "stopped"):
                self.resume(process.name)

    def status(self) -> EnvironmentStatus:
        """What the environment says of itself."""
        status = live_status(self.environment)
        assert status is not None, self._log.read_text()
        return status

    def is_ready(self, name: str) -> bool:
        """Whether a part is ready."""
        found = self.status().process(name)
        return found is not None and found.state == "ready"

    def address(self, service: str) -> str:
        """Return where a service serves, whether or not it runs."""
        found = self.status().process(service)
        assert found is not None
        return found.address

    def run(self, *arguments: str, stdin: str = "") -> Result:
        """Run a command to its end, inside this process: what it talks to are real ones."""
        return CliRunner().invoke(main, list(arguments), input=stdin, env=self.variables, catch_exceptions=False)

    def run_apart(self, *arguments: str, timeout_s: float = 100) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, as a process."""
        return subprocess.run(
            [sys.executable, "-m", "rapport_local", *arguments],
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def complaints(self) -> str:
        """What is amiss by the services' own account: the last warnings and errors of each."""
        said = []
        for name in SERVICE_NAMES:
            log = self.environment.log_of(name)
            lines = log.read_text(errors="replace").splitlines() if log.exists() else []
            amiss = [line for line in lines if not any(each in line for each in _NO_COMPLAINTS)]
            said += [f"{name}: {line[:_COMPLAINT]}" for line in amiss[-_COMPLAINTS:]]
        return "\n".join(said)

    @property
    def variables(self) -> dict[str, str]:
        """The variables of a person who works in this environment."""
        beside = str(Path(sys.executable).parent)
        return {**os.environ, "RAPPORT_FOLDER": str(self.environment.folder), "PATH": f"{beside}:{os.environ['PATH']}"}

    def stop(self) -> None:
        """End everything; `start` goes on with what is in the folder."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGKILL)
                self._process.wait()
        if self._listener is not None:
            self._listener.join()
        self._process, self._listener, self._started = None, None, Queue()

    def close(self) -> None:
        """End everything and remove the folder."""
        self.stop()
        shutil.rmtree(self.environment.folder, ignore_errors=True)
        self._log.unlink(missing_ok=True)

    def _order(self, what: str, name: str) -> object:
        assert self._process is not None
        assert self._process.stdin is not None
        number = next(self._numbers)
        answer = self._answers[number] = Queue()
        with self._lock:
            self._process.stdin.write(json.dumps({"number": number, "what": what, "name": name}) + "\n")
            self._process.stdin.flush()
        told = answer.get(timeout=_ORDER_S)
        assert "failure" not in told, f"{what} {name}: {told}"
        return told["done"]

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                told = json.loads(line)
                place = self._answers.pop(told["number"]) if "number" in told else self._started
                place.put(told)
        self._started.put({"started": False})  # it has ended
