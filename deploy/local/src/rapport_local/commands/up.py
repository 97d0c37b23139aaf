"""`rapport up`: start everything, keep it running, and leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

import click
from rapport_testing.child import ProcessError
from rich.console import Console

from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.options import environment_option
from rapport_local.processes import child_environment
from rapport_local.progress import Progress, Step
from rapport_local.screen import LiveScreen, PlainScreen, Screen
from rapport_local.services import SERVICES, LocalService
from rapport_local.stack import Stack
from rapport_local.status import ProcessStatus, live_status

_DRAW_EVERY_S: Final = 0.25
_DETACHED_LOG: Final = "up"
_DETACHED_TIMEOUT_S: Final = 120.0
_HINT: Final = "Ctrl-C stops everything. In another terminal: rapport status, call, logs, trace, doctor"


@click.command()
@environment_option
@click.option("--detach", "-d", is_flag=True, help="Return once everything is ready; `rapport down` stops it.")
@click.argument("services", nargs=-1, type=click.Choice([each.name for each in SERVICES]), metavar="[SERVICE]...")
def up(environment: Environment, detach: bool, services: tuple[str, ...]) -> None:
    """Start PostgreSQL, NATS and every SERVICE on this machine; all services if none is named.

    Databases and roles are made, migrations run, streams provisioned and certificates issued; what is there from last
    time is used again. A process that crashes is started again. Ctrl-C, a closed terminal or `rapport down` stops all
    of it. Takes no port that somebody else has.
    """
    environment.create()
    if detach:
        _detach(environment, services)
    else:
        wanted = [each for each in SERVICES if not services or each.name in services]
        with environment.held():
            asyncio.run(_Run(environment, wanted).until_stopped())


class _Run:
    """One environment, from the start to the end."""

    def __init__(self, environment: Environment, services: Sequence[LocalService]) -> None:
        self._console = Console()
        self._progress = Progress(self._step_ended)
        self._stack = Stack(environment, self._progress, self._process_changed, services)
        self._screen: Screen = (
            LiveScreen(self._console, self._progress, self._stack.status)
            if self._console.is_terminal
            else PlainScreen(lambda line: print(line, flush=True))
        )
        self._stop = asyncio.Event()
        self._signals = 0

    async def until_stopped(self) -> None:
        """Start, run until a signal, stop.

        Raises:
            Failure: Something did not start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled)
        drawing = asyncio.create_task(self._draw())
        try:
            await self._start_and_wait()
        except ProcessError as error:
            first, *more = str(error).splitlines()
            raise Failure(first, details="\n".join(more)) from error
        finally:
            await self._stack.stop()
            drawing.cancel()
            self._screen.say("Everything has stopped.")
            self._screen.close()

    async def _start_and_wait(self) -> None:
        starting = asyncio.create_task(self._stack.start())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            if await starting:
                self._screen.say(f"Everything is ready after {self._progress.elapsed_s:.1f} s. {_HINT}")
            else:
                self._screen.say("Not everything is ready: `rapport doctor` says why. Ctrl-C stops everything.")
        await stopping

    async def _draw(self) -> None:
        while True:
            self._screen.draw()
            await asyncio.sleep(_DRAW_EVERY_S)

    def _signalled(self) -> None:
        self._signals += 1
        if self._signals == 1:
            self._screen.say("Stopping; once more to end everything at once.")
            self._stop.set()
        elif self._signals == 2:
            self._killing = asyncio.create_task(self._stack.kill())

    def _step_ended(self, step: Step) -> None:
        self._screen.step_ended(step)

    def _process_changed(self, process: ProcessStatus) -> None:
        self._screen.process_changed(process)


def _detach(environment: Environment, services: Sequence[str]) -> None:
    """Run `rapport up` in a session of its own, and show its output until everything is ready.

    Raises:
        Failure: It ended, or is not ready in time.
    """
    if live_status(environment) is not None:
        raise Failure(f"an environment runs in {environment.folder} already", hint="look at it with `rapport status`")
    log = environment.log_of(_DETACHED_LOG)
    with log.open("wb") as output:
        child = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "rapport_local", "up", "--folder", str(environment.folder), *services],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=child_environment({}),
        )
    deadline = time.monotonic() + _DETACHED_TIMEOUT_S
    shown = 0
    while child.poll() is None and time.monotonic() < deadline:
        status = live_status(environment)
        text = log.read_bytes()
        click.echo(text[shown:], nl=False)
        shown = len(text)
        if status is not None and status.phase == "running":
            if not status.all_ready:
                raise Failure("not everything is ready", hint="`rapport doctor` says why; `rapport down` stops it")
            return
        time.sleep(0.05)
    if child.poll() is None:
        raise Failure("it has not started in time", hint=f"see {log}; `rapport down` stops it")
    click.echo(log.read_bytes()[shown:], nl=False)
    raise Failure("it has ended again", hint=f"its output is kept in {log}")
