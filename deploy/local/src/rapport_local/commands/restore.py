"""`rapport restore`: bring a backup back without bringing anybody back who was erased since."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import click
from rapport_chassis.database.roles import ServiceDatabase
from rapport_chassis.failpoints import arm_from_environment

from rapport_local import backups, restores
from rapport_local.backups import Backup
from rapport_local.concurrency import in_thread
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.options import environment_option
from rapport_local.progress import Progress, Step
from rapport_local.replacement import replace_databases
from rapport_local.servers import database_server, started_alone
from rapport_local.services import KEY_STORE, SERVICES, LocalDatabase, LocalService
from rapport_local.stack import Stack
from rapport_local.status import live_status


@click.command()
@environment_option
@click.option(
    "--service",
    "names",
    multiple=True,
    type=click.Choice([each.name for each in SERVICES]),
    help="Only this service; may be repeated.  [default: every service of the backup]",
)
@click.option("--keys", "with_keys", is_flag=True, help="Identity's key store too: only where the present one is lost.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@click.argument("source", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
def restore(environment: Environment, names: tuple[str, ...], with_keys: bool, as_json: bool, source: Path) -> None:
    """Put the databases of the backup in DIR in the place of the present ones. Nothing may run meanwhile.

    `rapport up` then starts in a fence: no service is ready before everybody erased since the backup is erased again.
    Keys destroyed since stay destroyed: identity's key store is left as it is unless --keys says that it is lost.
    Killed, it leaves each database as it was or as in the backup; run it again.
    """
    if live_status(environment) is not None:
        raise Failure(f"an environment runs in {environment.folder}", hint="stop it first: rapport down")
    arm_from_environment("local")
    environment.create()
    made = backups.read(source)
    wanted = [each for each in restores.chosen(names) if names or made.of(each, each.databases[0]) is not None]
    for service in wanted:
        if made.of(service, service.databases[0]) is None:
            raise Failure(f"{source} holds no backup of {service.name}")

    def ended(step: Step) -> None:
        click.echo(step.line(), err=as_json)

    done = asyncio.run(_Restore(environment, source, made, with_keys, Progress(ended)).run(wanted))
    if as_json:
        click.echo(json.dumps({"begun_at": made.begun_at.isoformat(), "services": done}, indent=2))
        return
    age = datetime.now(UTC) - made.begun_at
    click.echo(f"Restored as of {made.begun_at:%Y-%m-%d %H:%M:%S} UTC, {age.total_seconds() / 3600:.1f} hours ago.")
    click.echo("rapport up turns ready once everybody erased since is erased again.")
    if any(service.name == "consent" for service in wanted):
        click.echo("The ledger begins a new epoch; `rapport privacy restored` shows whether consents are in doubt.")


class _Restore:
    """One restore, service by service."""

    def __init__(
        self, environment: Environment, folder: Path, made: Backup, with_keys: bool, progress: Progress
    ) -> None:
        self._environment = environment
        self._server = database_server(environment)
        self._folder = folder
        self._made = made
        self._with_keys = with_keys
        self._progress = progress

    async def run(self, wanted: list[LocalService]) -> dict[str, list[str]]:
        """Restore these services and return which databases of each."""
        with self._progress.step("backup is what was written"):
            for service in wanted:
                for database in self._databases(service):
                    await in_thread(self._dump, service, database)
        async with started_alone(self._environment, self._progress) as stack:
            self._require_keys(wanted)
            erased = await in_thread(restores.erased_anywhere, self._server)
            return {service.name: await self._restore(stack, service, erased) for service in wanted}

    async def _restore(self, stack: Stack, service: LocalService, erased: list[str]) -> list[str]:
        databases = self._databases(service)
        for database in databases:
            with self._progress.step(f"{database.name}: read into a database beside the present one"):
                dump = self._dump(service, database)
                await in_thread(restores.read_beside, self._server, service, database, dump)
        if service.outlives:
            with self._progress.step(f"{service.name}: {', '.join(service.outlives)} taken over from what is replaced"):
                await in_thread(restores.take_over, self._server, databases[0], service.outlives)
        with self._progress.step(f"{service.name}: fenced"):
            await in_thread(restores.mark, self._server, service, erased)
        # Before the databases change places: what comes again to the present one is known to its inbox.
        with self._progress.step(f"{service.name}: receives again what came after the backup"):
            await restores.begin_consumers_anew(self._environment, stack.nats_url, service)
        with self._progress.step(f"{service.name}: in place"):
            await in_thread(replace_databases, self._server, databases)
        return [database.name for database in databases]

    def _require_keys(self, wanted: list[LocalService]) -> None:
        names = {database.name for service in wanted for database in service.databases}
        present = backups.exists(self._server, ServiceDatabase.of(KEY_STORE).name)
        if KEY_STORE in names and not (present or self._with_keys):
            raise Failure(
                "there is no key store here, and without one nothing of identity can be read",
                hint="--keys restores that of the backup; the folders of keys, which are in none, must be here too",
            )

    def _databases(self, service: LocalService) -> list[LocalDatabase]:
        return [
            database
            for database in service.databases
            if self._made.of(service, database) and (self._with_keys or database.name != KEY_STORE)
        ]

    def _dump(self, service: LocalService, database: LocalDatabase) -> Path:
        found = self._made.of(service, database)
        assert found is not None, "only what the backup holds is asked for"
        return backups.verified(self._folder, found)
