"""`rapport ingest`: a person's own customers and transactions, from files and a mapping."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
from rapport.consent.v1 import consent_pb2_grpc, purpose_pb2_grpc
from rapport.identity.v1 import identity_pb2_grpc, ingest_pb2_grpc
from rapport_chassis.rpc.status import RemoteError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from rapport_local import access, operators
from rapport_local.aligned import columns
from rapport_local.calling import explain, stub_of
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.ingest.journal import Journal
from rapport_local.ingest.mapping import Mapping, read_mapping
from rapport_local.ingest.purposes import author, missing_purposes
from rapport_local.ingest.run import Import, Notify, Services, digest_of, write_rejected
from rapport_local.ingest.tables import Files
from rapport_local.ingest.understanding import TableReport, understand
from rapport_local.options import environment_option, running
from rapport_local.status import EnvironmentStatus


@click.command()
@environment_option
@click.argument("mapping_file", metavar="MAPPING", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what is understood of the files, values masked; send nothing.")
@click.option("--rows", "most", type=click.IntRange(1), help="Read only the first rows of each file.")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), default=1.0, help="Take so many of the customers.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Folder of the files, if not MAPPING's.")
@click.option("--with-purposes", is_flag=True, help="Author purposes that are not in force, as who is logged in.")
@click.option("--as-if-now", is_flag=True, help="Move all times of data of the past so that they end yesterday.")
@click.option("--restart", is_flag=True, help="Begin anew, not where an interrupted import stopped.")
@click.option("--as", "client", default=access.CLI, show_default=True, help="Client whose certificate is shown.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def ingest(
    environment: Environment,
    mapping_file: Path,
    dry_run: bool,
    most: int | None,
    share: float,
    data: Path | None,
    with_purposes: bool,
    as_if_now: bool,
    restart: bool,
    client: str,
    as_json: bool,
) -> None:
    """Take in customers, their decisions and their orders from CSV, JSON lines or Parquet, as MAPPING says.

    Run --dry-run first. An import that is interrupted goes on where it stopped when it is run again; nothing is taken
    in twice. Rows that are not taken are listed in rejected.csv, with field and reason.
    """
    mapping, files = read_mapping(mapping_file), Files(data or mapping_file.parent, most, share)
    if as_if_now:
        mapping = mapping.as_if_now(datetime.now(UTC).date())
    if dry_run:
        _show(understand(mapping, files), as_json=as_json)
        return
    status = running(environment)
    folder = environment.folder / "ingest" / mapping.name
    try:
        with Journal(folder / "journal.sqlite3", digest_of(mapping, files), restart=restart) as journal:
            counts = asyncio.run(
                _ingest(environment, status, client, mapping, files, journal, with_purposes=with_purposes)
            )
            rejected = write_rejected(folder / "rejected.csv", journal)
    except RemoteError as error:
        raise explain(error, client=client) from error
    if as_json:
        click.echo(json.dumps({"stages": counts, "rejected": rejected, "report": str(folder / "rejected.csv")}))
        return
    for stage, words in counts.items():
        click.echo(f"{stage}: {', '.join(f'{count:,} {word}' for word, count in sorted(words.items())) or 'nothing'}")
    if rejected:
        click.echo(f"{rejected:,} rejected, with reasons: {folder / 'rejected.csv'}")


async def _ingest(
    environment: Environment,
    status: EnvironmentStatus,
    client: str,
    mapping: Mapping,
    files: Files,
    journal: Journal,
    *,
    with_purposes: bool,
) -> dict[str, dict[str, int]]:
    async with AsyncExitStack() as stack:
        identity = stub_of(environment, status, "identity", identity_pb2_grpc.IdentityServiceStub, client)
        touchpoints = stub_of(environment, status, "identity", ingest_pb2_grpc.TouchpointServiceStub, client)
        consent = stub_of(environment, status, "consent", consent_pb2_grpc.ConsentServiceStub, client)
        services = Services(
            await stack.enter_async_context(identity),
            await stack.enter_async_context(touchpoints),
            await stack.enter_async_context(consent),
        )
        operator = operators.current_login(environment) if with_purposes else None
        office = await stack.enter_async_context(
            stub_of(environment, status, "consent", purpose_pb2_grpc.PurposeServiceStub, client, operator=operator)
        )
        missing = await missing_purposes(office, mapping)
        if missing and with_purposes and not set(missing) - set(mapping.purposes):
            await author(office, mapping, missing)
        elif missing:
            raise Failure(
                f"these purposes are not in force: {', '.join(missing)}",
                hint="--with-purposes authors those that the mapping gives a basis, as who is logged in: "
                "rapport login NAME --role officer",
            )
        with _progress() as notify:
            return await Import(mapping, files, journal, services, notify).run()


@contextmanager
def _progress() -> Iterator[Notify]:
    """Draw progress on a terminal; say nothing elsewhere."""
    console = Console(stderr=True)
    texts = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed:,}"), TimeElapsedColumn())
    with Progress(*texts, console=console, disable=not console.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def notify(stage: str, count: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=None)
            progress.update(tasks[stage], completed=count)

        yield notify


def _show(reports: Iterable[TableReport], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([each.model_dump() for each in reports], indent=2))
        return
    for report in reports:
        click.secho(f"{report.stage}, as source {report.source}", bold=True)
        left_out = f", {report.left_out:,} left out by conditions" if report.left_out else ""
        click.echo(f"{report.rows:,} rows{left_out}: {report.items:,} to be sent\n")
        rows = [
            (each.column or "(always)", each.field, f"{each.filled:.0%}", "  ".join(each.samples))
            for each in report.columns
        ]
        for line in columns(("column", "becomes", "filled", "looks like"), rows):
            click.echo(f"  {line}")
        if report.unused:
            click.echo(f"  not used: {', '.join(report.unused)}")
        if report.missing:
            click.secho(f"  not in the file: {', '.join(report.missing)}", fg="red")
        for problem in report.problems:
            more = " …" if problem.count > len(problem.rows) else ""
            named = ", ".join(map(str, problem.rows)) + more
            click.secho(f"  {problem.count:,} rejected: {problem.field}: {problem.reason} (row {named})", fg="red")
        click.echo()
    click.echo("Nothing was sent.")
