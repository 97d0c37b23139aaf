"""`rapport logs`: what the processes say, for a person to read."""

from __future__ import annotations

import contextlib

import click
from rich.console import Console

from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.log_view import LogFile, follow, last_lines
from rapport_local.options import environment_option, existing
from rapport_local.services import SERVICES


@click.command()
@environment_option
@click.argument("process", required=False)
@click.option("--follow", "-f", "following", is_flag=True, help="Go on with what is written from now on.")
@click.option("--lines", "-n", "limit", default=100, show_default=True, help="How many lines to begin with.")
def logs(environment: Environment, process: str | None, following: bool, limit: int) -> None:
    """Show the logs of all services in order of time, or of one PROCESS: a service, postgres, nats, consent-migrate.

    Times are in UTC. The files themselves are in the environment's folder, one JSON object per line.
    """
    existing(environment)
    known = sorted(path.stem for path in environment.logs.glob("*.log"))
    if process is not None and process not in known:
        raise Failure(f"there is no log of {process!r}", hint=f"there are logs of {', '.join(known) or 'nothing yet'}")
    names = [process] if process else [service.name for service in SERVICES]
    files = [LogFile(name, environment.log_of(name)) for name in names]
    console = Console(soft_wrap=True, highlight=False)
    for line in last_lines(files, limit):
        console.print(line.text())
    if following:
        with contextlib.suppress(KeyboardInterrupt):
            for line in follow(files):
                console.print(line.text())
