"""`rapport backup`: every database of every service, each as of one moment."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import click

from rapport_local import backups
from rapport_local.backups import Backup
from rapport_local.concurrency import in_thread
from rapport_local.environment import Environment
from rapport_local.options import environment_option, existing
from rapport_local.progress import Progress, Step
from rapport_local.servers import database_server, started_alone
from rapport_local.status import live_status


@click.command()
@environment_option
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
@click.argument("target", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
def backup(environment: Environment, as_json: bool, target: Path) -> None:
    """Back all databases up into DIR, a new folder, while everything goes on, or while nothing runs.

    Keys that open or sign anything are not in it: keep `secrets` and the folders of keys as secrets are kept. One that
    was killed is begun anew in the same folder.
    """
    existing(environment)

    def ended(step: Step) -> None:
        click.echo(step.line(), err=as_json)

    made = asyncio.run(_back_up(environment, target, Progress(ended)))
    if as_json:
        click.echo(made.model_dump_json(indent=2))
    else:
        size = sum(each.size for each in made.dumps) / 1e6
        click.echo(f"{len(made.dumps)} databases, {size:.1f} MB, in {target}. Bring it back: rapport restore {target}")


async def _back_up(environment: Environment, folder: Path, progress: Progress) -> Backup:
    backups.prepare(folder)
    if live_status(environment) is not None:
        return await in_thread(_dump_all, environment, folder, progress)
    async with started_alone(environment, progress):
        return await in_thread(_dump_all, environment, folder, progress)


def _dump_all(environment: Environment, folder: Path, progress: Progress) -> Backup:
    server, begun_at, dumps = database_server(environment), datetime.now(UTC), []
    for service, database in backups.in_order():
        with progress.step(f"{database.name}: dumped"):
            dumped = backups.dump(server, service, database, folder)
        if dumped is not None:
            dumps.append(dumped)
    return backups.finish(folder, begun_at, dumps)
