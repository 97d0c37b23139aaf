"""`rapport status`: every process and its health."""

from __future__ import annotations

import json

import click
from rich.console import Console

from rapport_local.activity import activity_table, read_activity
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.options import environment_option, running
from rapport_local.status import status_table


@click.command()
@environment_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def status(environment: Environment, as_json: bool) -> None:
    """Show every process with its health, address, age and restarts, and what the services are doing.

    The second table counts since each service's start, a few seconds behind: calls answered, refused for the caller's
    fault and failed for its own, events sent and handled, and how long the oldest event has waited to be sent.

    Exit code 0 if all are ready, 1 if one is not or nothing runs.
    """
    found = running(environment)
    doing = read_activity(environment, found)
    if as_json:
        document = {**found.model_dump(mode="json"), "activity": [each.model_dump(mode="json") for each in doing]}
        click.echo(json.dumps(document, indent=2))
    else:
        console = Console(soft_wrap=True)
        console.print(status_table(found))
        if doing:
            console.print()
            console.print(activity_table(doing))
    if not found.all_ready:
        if as_json:
            raise click.exceptions.Exit(1)
        raise Failure("not everything is ready", hint="`rapport doctor` says why")
