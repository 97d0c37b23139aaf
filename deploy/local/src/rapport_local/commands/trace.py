"""`rapport trace`: what happened in one call, across services and events."""

from __future__ import annotations

import sys
from itertools import islice
from typing import Final

import click
from rapport_chassis.telemetry.span_file import read_spans, recent_traces
from rapport_chassis.telemetry.span_record import SpanRecord
from rapport_chassis.telemetry.tree import render_traces, render_tree

from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.options import environment_option, existing

_HEAD: Final = "rapport.consent.v1.ConsentService/GetLedgerHead"


@click.command()
@environment_option
@click.argument("trace_id", metavar="[ID]", required=False)
@click.option("--limit", default=20, show_default=True, help="How many recent traces are listed.")
def trace(environment: Environment, trace_id: str | None, limit: int) -> None:
    """Draw the trace ID, or the one whose id begins so; without ID, list the traces that ended last.

    A consumer stands below the span that wrote its event (~>), also where both are in different services. What every
    consent gate asks four times a second, for the head of the ledger, is not listed.
    """
    folders = [existing(environment).telemetry]
    if trace_id is None:
        roots = (each for each in recent_traces(folders, sys.maxsize) if not _is_of_a_gate(each))
        lines = render_traces(list(islice(roots, limit)))
        if not lines:
            raise Failure("no trace was recorded yet", hint="make a call: rapport call GetLedgerHead")
    else:
        lines = render_tree(read_spans(folders, trace_id))
        if not lines:
            raise Failure(f"there is no trace {trace_id}", hint="`rapport trace` lists the recent ones")
    for line in lines:
        click.echo(line)


def _is_of_a_gate(root: SpanRecord) -> bool:
    return root.name == _HEAD and root.service != "consent"
