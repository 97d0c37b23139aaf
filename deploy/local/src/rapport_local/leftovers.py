"""What an environment that was killed may have left running."""

from __future__ import annotations

import contextlib

import psutil
from rapport_testing.child import wait_until_gone
from rapport_testing.nats import NatsServer
from rapport_testing.postgres import PostgresServer

from rapport_local.environment import Environment
from rapport_local.status import last_status

_CLOCK_TOLERANCE_S = 0.5


def left_over(environment: Environment) -> list[tuple[str, psutil.Process]]:
    """Return the processes that the last run recorded and that still live, with their names.

    To be asked only where no environment runs. A process id that belongs to somebody else by now is told by its time
    of creation.
    """
    status = last_status(environment)
    found = []
    for recorded in status.processes if status is not None else []:
        with contextlib.suppress(psutil.NoSuchProcess):
            if recorded.pid is not None and recorded.created is not None:
                process = psutil.Process(recorded.pid)
                if abs(process.create_time() - recorded.created) < _CLOCK_TOLERANCE_S:
                    found.append((recorded.name, process))
    return found


def stop_left_over(environment: Environment) -> list[str]:
    """Stop what an earlier run left behind, and return the names of what was found.

    Raises:
        ProcessError: Something does not end.
    """
    found = left_over(environment)
    names = [name for name, _ in found]
    services = [process for name, process in found if name not in ("postgres", "nats")]
    for process in services:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    wait_until_gone(services)
    # These two are found by their folder too: a run may have been killed before it could record them.
    if NatsServer(environment.data / "nats").stop_left_over() and "nats" not in names:
        names.append("nats")
    if PostgresServer(environment.data / "postgres").stop_left_over() and "postgres" not in names:
        names.append("postgres")
    return names
