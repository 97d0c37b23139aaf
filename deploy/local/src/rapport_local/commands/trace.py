"""`rapport trace`: what happened in one call, across services and events."""

from __future__ import annotations

import click
from rapport_chassis.telemetry.span_file import read_spans, recent_traces
from rapport_chassis.telemetry.tree import render_traces, render_tree

from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.options import environment_option, existing


@click.command()
@environment_option
@click.argument("trace_id", metavar="[ID]", required=False)
@click.option("--limit", default=20, show_default=True, help="How many recent traces are listed.")
def trace(environment: Environment, trace_id: str | None, limit: int) -> None:
    """Draw the trace ID, or the one whose id begins so; without ID, list the traces that ended last.

    A consumer stands below the span that wrote its event (~>), also where both are in different services.
    """
    folders = [existing(environment).telemetry]
    if trace_id is None:
        lines = render_traces(recent_traces(folders, limit))
        if not lines:
            raise Failure("no trace was recorded yet", hint="make a call: rapport call GetLedgerHead")
    else:
        lines = render_tree(read_spans(folders, trace_id))
        if not lines:
            raise Failure(f"there is no trace {trace_id}", hint="`rapport trace` lists the recent ones")
    for line in lines:
        click.echo(line)
