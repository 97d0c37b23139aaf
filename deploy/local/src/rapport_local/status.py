"""What a running environment says about itself, in memory and in a file that other commands read."""

from __future__ import annotations

import time
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from rapport_testing.files import replace_file
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rapport_local.environment import Environment

RoleHealth = Literal["ready", "not ready", "unreachable"]
"""How a role of a process is: `unreachable` if nobody answers for it."""

ProcessState = Literal["waiting", "starting", "ready", "degraded", "crashed", "stopping", "stopped"]

_STYLES: Final = {
    "ready": "green",
    "starting": "cyan",
    "waiting": "dim",
    "degraded": "yellow",
    "not ready": "yellow",
    "crashed": "bold red",
    "unreachable": "red",
    "stopping": "cyan",
    "stopped": "dim",
}
_MARKS: Final = {"ready": "●", "not ready": "○", "unreachable": "✗"}


class ProcessStatus(BaseModel):
    """One process.

    Attributes:
        name: Its name.
        state: `degraded` is running with a role that is not ready; `crashed` waits to be started again.
        pid: Its process id while it runs.
        created: When that process was created, in seconds since 1970: with it a process id names one process only.
        roles: How each of its roles is.
        address: Where it is reached.
        started_at: When it was started last, in seconds since 1970.
        restarts: How often it was started again after a crash.
        note: What a person should know, such as how it ended.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    state: ProcessState = "waiting"
    pid: int | None = None
    created: float | None = None
    roles: dict[str, RoleHealth] = {}
    address: str = ""
    started_at: float | None = None
    restarts: int = 0
    note: str = ""


class EnvironmentStatus(BaseModel):
    """All of an environment.

    Attributes:
        folder: Its folder.
        pid: The process that runs it.
        phase: How far it is.
        ready_after_s: How long it took until everything was ready; None before.
        processes: Its processes.
    """

    model_config = ConfigDict(frozen=True)

    folder: str
    pid: int
    phase: Literal["starting", "running", "stopping", "stopped"]
    ready_after_s: float | None = None
    processes: list[ProcessStatus] = []

    @property
    def all_ready(self) -> bool:
        """Whether every process is ready."""
        return self.phase == "running" and all(process.state == "ready" for process in self.processes)

    def process(self, name: str) -> ProcessStatus | None:
        """Return the process of this name."""
        return next((process for process in self.processes if process.name == name), None)


def write_status(environment: Environment, status: EnvironmentStatus) -> None:
    """Let other commands know."""
    replace_file(environment.state_file, status.model_dump_json(indent=2).encode(), mode=0o600)


def last_status(environment: Environment) -> EnvironmentStatus | None:
    """Return what was written last, by an environment that may have died since."""
    try:
        return EnvironmentStatus.model_validate_json(environment.state_file.read_bytes())
    except (OSError, ValidationError):
        return None


def live_status(environment: Environment) -> EnvironmentStatus | None:
    """Return the status of the running environment; None if none runs."""
    holder = environment.holder()
    status = last_status(environment)
    return status if holder is not None and status is not None and status.pid == holder else None


def status_table(status: EnvironmentStatus) -> RenderableType:
    """Return the table of all processes, at most 80 columns wide, and what a person should know."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for heading in ("process", "state", "pid", "roles", "address", "up", "restarts"):
        table.add_column(heading, justify="right" if heading in ("pid", "up", "restarts") else "left", no_wrap=True)
    for process in status.processes:
        table.add_row(
            process.name,
            Text(process.state, _STYLES[process.state]),
            str(process.pid or ""),
            _roles(process),
            "a socket" if process.address.startswith("/") else process.address,
            _age(process),
            Text(str(process.restarts), "red" if process.restarts else "dim"),
        )
    notes = [Text(f"{process.name}: {process.note}", "red") for process in status.processes if process.note]
    return Group(table, *notes)


def _roles(process: ProcessStatus) -> Text:
    return Text(" ").join(
        Text.assemble((_MARKS[health], _STYLES[health]), f"{role}") for role, health in process.roles.items()
    )


def _age(process: ProcessStatus) -> str:
    if process.started_at is None or process.pid is None:
        return ""
    seconds = int(time.time() - process.started_at)
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
