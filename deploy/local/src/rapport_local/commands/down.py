"""`rapport down`: stop what runs, whoever started it and however it ended."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Final

import click
from rapport_testing.child import ProcessError
from rapport_testing.waiting import becomes_true

from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.leftovers import stop_left_over
from rapport_local.options import environment_option

_STOP_TIMEOUT_S: Final = 60.0
_KILL_TIMEOUT_S: Final = 10.0


@click.command()
@environment_option
def down(environment: Environment) -> None:
    """Stop the environment, and what one that was killed left behind. Its data stays."""
    if not environment.exists:
        click.echo(f"Nothing runs: there is no environment in {environment.folder}.")
        return
    holder = environment.holder()
    if holder:
        _stop(environment, holder)
    try:
        found = stop_left_over(environment)
    except ProcessError as error:
        raise Failure(str(error)) from error
    if found:
        click.echo(f"Left over from a run that was killed, now stopped: {', '.join(found)}.")
    click.echo("Stopped." if holder or found else "Nothing runs.")


def _stop(environment: Environment, holder: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder, signal.SIGTERM)
    if becomes_true(lambda: environment.holder() is None, _STOP_TIMEOUT_S, interval_s=0.05):
        return
    click.echo(f"Process {holder} does not stop: it is killed, and what it started with it.", err=True)
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder, signal.SIGKILL)
    if not becomes_true(lambda: environment.holder() is None, _KILL_TIMEOUT_S):
        raise Failure(f"process {holder} does not end")
