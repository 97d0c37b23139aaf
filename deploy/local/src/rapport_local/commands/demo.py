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
from rapport_testing.files import replace_file
from rich.console import Console
from rich.text import Text

from rapport_local import access
from rapport_local.demo import gates, rights, writing
from rapport_local.demo.play import play
from rapport_local.demo.report import Report
from rapport_local.demo.shop import SHOP, SHOP_MAY, cast
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.progress import Progress, Step
from rapport_local.reports.demo import demo_page
from rapport_local.services import SERVICES, LocalService
from rapport_local.stack import Stack

_PAGE: Final = "index.html"
_LEAST_PEOPLE: Final = 120


@click.command()
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), help="Keep the environment here; else it is removed."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/demo"),
    show_default=True,
    help="Where the page goes, and what was handed out: an access package and an erasure certificate.",
)
@click.option(
    "--people",
    type=click.IntRange(_LEAST_PEOPLE),
    default=240,
    show_default=True,
    help="How many people live in the town.",
)
def demo(folder: Path | None, out: Path, people: int) -> None:
    """Show the main job: a town of customers is recognised, scored, offered and written to, as far as each allows.

    Starts an environment of its own, leaves nothing running, and writes a page of what happened. Exit code 1 if
    anything was not as it must be.
    """
    kept = folder is not None
    if folder is not None and (folder / "data").exists():
        raise Failure(f"there is an environment in {folder}", hint="the story begins in one where nothing is known yet")
    out.mkdir(parents=True, exist_ok=True)
    for name in (_PAGE, rights.PACKAGE, rights.CERTIFICATE, rights.KEYS):  # of an earlier telling
        (out / name).unlink(missing_ok=True)
    environment = Environment.at(folder or Path(tempfile.mkdtemp(prefix="rapport-demo-")))
    environment.create()
    report = Report(Console(highlight=False))
    with environment.held(), environment.log_of("demo").open("a") as log:
        configure_logging("demo", "", stream=log)
        told = asyncio.run(_until_told_or_stopped(environment, report, people, out))
    broken = report.story.broken
    if not kept and not broken:
        shutil.rmtree(environment.folder, ignore_errors=True)
    if not told:
        raise Failure("stopped; nothing is left running")
    if broken:
        raise Failure(
            f"{len(broken)} of {len(report.story.checks)} checks did not hold",
            details="\n".join(broken),
            hint=f"the logs are in {environment.logs}",
        )


async def _until_told_or_stopped(environment: Environment, report: Report, people: int, out: Path) -> bool:
    """Say whether the story was told to its end."""
    telling = asyncio.create_task(_tell(environment, report, people, out))
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


async def _tell(environment: Environment, report: Report, people: int, out: Path) -> None:
    console = Console(highlight=False)
    console.print(Text("Rapport: what a customer allows is what happens, and it can be proven.", "bold"))
    began = time.monotonic()

    def step_ended(step: Step) -> None:
        if step.state == "done":
            report.line(Text.assemble(("✓", "green"), f" {step.text:<64}", (f"{step.took_s:6.1f} s", "dim")))

    stack = Stack(environment, Progress(step_ended), lambda _: None, _services())
    try:
        report.chapter("The start")
        with report.scene("PostgreSQL, NATS and the five services start"):
            _prepare(environment)
            report.expect(await stack.start(), "everything is ready")
        async with cast(environment, stack.status()) as everybody:
            await play(report, everybody, stack, people, out)
    except (RapportError, TimeoutError) as error:
        report.expect(False, f"the story broke off: {str(error) or 'something did not happen in time'}")
    finally:
        console.print()
        await stack.stop()
    report.story.took_s = time.monotonic() - began
    page = out / _PAGE
    replace_file(page, demo_page(report.story, _following(out)).encode())
    _conclude(console, report, page)


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


def _conclude(console: Console, report: Report, page: Path) -> None:
    story = report.story
    report.chapter("In short")
    console.print()
    report.summary()
    console.print()
    style = "bold green" if not story.broken else "bold red"
    said = f"{story.held} of {len(story.checks)} checks held, in {story.took_s:.0f} s. Nothing is left running."
    console.print(Text(said, style))
    console.print()
    console.print("Where to look next:")
    for command, meaning in [(str(page), "all of this as a page, to read and to pass on"), *_following(page.parent)]:
        console.print(Text.assemble("   ", (f"{command}", "bold")), soft_wrap=True)
        console.print(Text(f"       {meaning}", "dim"), soft_wrap=True)


def _following(folder: Path) -> list[tuple[str, str]]:
    proof = f"rapport verify {folder / rights.CERTIFICATE} --keys {folder / rights.KEYS}"
    told = [(proof, "the erasure, verified by you, with nothing running")]
    return [
        *(told if (folder / rights.CERTIFICATE).exists() else []),
        ("rapport up", "the same servers and services, to play with; then rapport call, trace, doctor"),
        ("rapport ingest MAPPING --dry-run", "what it would understand of your own customers and orders"),
        ("make help", "tests, benchmarks and proofs"),
        ("README.md", "how it is built, and where everything is"),
    ]
