"""`rapport demo`: the main job on real servers, told in scenes that check what they show."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
from rapport_chassis.errors import RapportError
from rapport_chassis.telemetry.logs import configure_logging
from rapport_testing.child import ProcessError
from rich.console import Console
from rich.text import Text

from rapport_local import access
from rapport_local.demo import (
    events,
    gates,
    leaving,
    population,
    recognition,
    refusal,
    scenes,
    selling,
    stewards,
    writing,
)
from rapport_local.demo.report import Report
from rapport_local.demo.shop import SHOP, SHOP_MAY, Cast, cast
from rapport_local.demo.throughput import throughput
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.progress import Progress, Step
from rapport_local.services import SERVICES, LocalService
from rapport_local.stack import Stack

_NEXT: Final = (
    ("rapport up", "the same servers and services, to play with"),
    ("rapport call", "every method there is; rapport call METHOD JSON calls one"),
    ("rapport trace", "what happened lately, across services"),
    ("rapport doctor", "what is wrong, and how to mend it"),
    ("make help", "tests, benchmarks and proofs"),
    ("README.md", "how it is built, and where everything is"),
)


@click.command()
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), help="Keep the environment here; else it is removed."
)
def demo(folder: Path | None) -> None:
    """Show the main job: customers recognised across channels, consent, who is about to leave, outages, how fast it is.

    Starts an environment of its own and leaves nothing running. Exit code 1 if anything was not as it must be.
    """
    kept = folder is not None
    environment = Environment.at(folder or Path(tempfile.mkdtemp(prefix="rapport-demo-")))
    environment.create()
    report = Report(Console(highlight=False))
    with environment.held(), environment.log_of("demo").open("a") as log:
        configure_logging("demo", "", stream=log)
        told = asyncio.run(_until_told_or_stopped(environment, report))
    if not kept and not report.broken:
        shutil.rmtree(environment.folder, ignore_errors=True)
    if not told:
        raise Failure("stopped; nothing is left running")
    if report.broken:
        raise Failure(
            f"{len(report.broken)} of {report.held + len(report.broken)} checks did not hold",
            details="\n".join(report.broken),
            hint=f"the logs are in {environment.logs}",
        )


async def _until_told_or_stopped(environment: Environment, report: Report) -> bool:
    """Say whether the story was told to its end."""
    telling = asyncio.create_task(_tell(environment, report))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, telling.cancel)
    try:
        await telling
    except asyncio.CancelledError:
        return False
    except ProcessError as error:
        first, *more = str(error).splitlines()
        raise Failure(first, details="\n".join(more)) from error
    return True


async def _tell(environment: Environment, report: Report) -> None:
    console = Console(highlight=False)
    console.print(Text("Rapport: what a customer allows is what happens, and it can be proven.", "bold"))
    began = time.monotonic()

    def step_ended(step: Step) -> None:
        if step.state == "done":
            report.line(Text.assemble(("✓", "green"), f" {step.text:<64}", (f"{step.took_s:6.1f} s", "dim")))

    stack = Stack(environment, Progress(step_ended), lambda _: None, _services())
    try:
        with report.scene("PostgreSQL, NATS and the five services start"):
            _prepare(environment)
            report.expect(await stack.start(), "everything is ready")
        async with cast(environment, stack.status()) as everybody:
            await _play(report, everybody, stack)
    except (RapportError, TimeoutError) as error:
        report.expect(False, f"the story broke off: {str(error) or 'something did not happen in time'}")
    finally:
        console.print()
        await stack.stop()
    _conclude(console, report, time.monotonic() - began)


def _services() -> list[LocalService]:
    """The services, with quiet hours that let the story be told at any time of the day."""
    own = {"DISPATCH__QUIET_HOURS_FILE": str(writing.ALWAYS_OPEN)}
    return [
        replace(each, settings={**each.settings, **own}) if each.name == "notification" else each for each in SERVICES
    ]


def _prepare(environment: Environment) -> None:
    """Certificates for those who are played; the services' own are issued at the start."""
    access.add_client(environment, SHOP, SHOP_MAY)
    access.add_client(environment, gates.SENDER, access.HOLD_GATE)


async def _play(report: Report, cast: Cast, stack: Stack) -> None:
    with report.scene("The shop says what it wants to do, and why it may"):
        await scenes.purposes(report, cast)
    with report.scene("A customer comes by every channel, and is recognised"):
        customer = await recognition.channels(report, cast)
    with report.scene("Why that is one person"):
        await recognition.reasons(report, cast, customer)
    with report.scene("The customer is known: what may be done?"):
        await scenes.before(report, cast, customer.profile_id)
    with report.scene("The customer ticks the box"):
        write = await scenes.granted(report, cast, customer.profile_id)
    with report.scene("The customer gets a receipt, which proves it without us"):
        await scenes.receipt(report, cast, write)
    with report.scene("The customer changes their mind"):
        await scenes.withdrawn(report, cast, customer.profile_id)
    with report.scene("What goes wrong is refused with a reason"):
        await scenes.refusals(report, cast, customer.profile_id)
    with report.scene("Two profiles turn out to be one person"):
        merged = await events.merge(report, cast, customer)
    with report.scene("The trace of that"):
        await events.trace(report, cast, merged.trace_id)
    with report.scene("A steward knows better"):
        await stewards.split(report, cast, customer, merged)
    with report.scene("Who refuses analytics leaves only what the contract needs"):
        await refusal.analytics(report, cast)
    with report.scene("The shop sets a price, within its rules"):
        product_id = await selling.published(report, cast)
    with report.scene("The shop says what it writes to whom, and when"):
        await writing.authored(report, cast)
    with report.scene("Two years of a shop come in"):
        await leaving.history(report, cast)
    with report.scene("A model learns who does not come back"):
        await leaving.learned(report, cast)
    with report.scene("Who is about to leave, and why"):
        await leaving.scores(report, cast)
    with report.scene("Who may leave gets an offer, and nobody else pays for it"):
        await selling.offers(report, cast, product_id)
    with report.scene("The offer becomes a mail, and one click ends it"):
        await writing.offers(report, cast)
    with report.scene("Somebody does not want to be profiled"):
        await leaving.refused(report, cast)
    with report.scene("Who decided what"):
        await events.audit(report, cast)
    async with gates.sender(cast, stack) as sender:
        with report.scene("Another team's program holds the gate in its own process"):
            await gates.follows(report, cast, sender)
        with report.scene("The broker is stopped"):
            await gates.without_broker(report, cast, sender, stack)
        with report.scene("The consent service is stopped"):
            await gates.without_service(report, cast, sender, stack)
    with report.scene("A town of strangers arrives at once"):
        await population.town(report, cast)
    with report.scene("How fast it is"):
        await throughput(report, cast)


def _conclude(console: Console, report: Report, took_s: float) -> None:
    console.print()
    total = report.held + len(report.broken)
    style = "bold green" if not report.broken else "bold red"
    console.print(Text(f"{report.held} of {total} checks held, in {took_s:.0f} s. Nothing is left running.", style))
    console.print()
    console.print("Where to look next:")
    for command, meaning in _NEXT:
        console.print(Text.assemble("   ", (f"{command:<16}", "bold"), meaning))
