"""`rapport status`: every process and its health."""

from __future__ import annotations

import click
from rich.console import Console

from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.options import environment_option, running
from rapport_local.status import status_table


@click.command()
@environment_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def status(environment: Environment, as_json: bool) -> None:
    """Show every process with its health, address, age and restarts.

    Exit code 0 if all are ready, 1 if one is not or nothing runs.
    """
    found = running(environment)
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    else:
        Console(soft_wrap=True).print(status_table(found))
    if not found.all_ready:
        if as_json:
            raise click.exceptions.Exit(1)
        raise Failure("not everything is ready", hint="`rapport doctor` says why")
