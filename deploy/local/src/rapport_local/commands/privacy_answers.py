"""`rapport privacy answer`: what people did whom no program asks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import uuid4

import click
from google.protobuf.timestamp_pb2 import Timestamp
from rapport.common.v1 import privacy_pb2 as common_pb2
from rapport.consent.v1 import privacy_pb2

from rapport_local import privacy_view
from rapport_local.environment import Environment
from rapport_local.options import environment_option
from rapport_local.privacy_calls import as_officer


@click.command()
@environment_option
@click.argument("request_id")
@click.argument("task_id")
@click.option("--store", "stores", multiple=True, metavar="NAME:FOUND:DONE", help="A place that was looked into.")
@click.option(
    "--kept", "kept", multiple=True, metavar="NAME:COUNT:GROUND[:DAY]", help="What was kept, why, and until when."
)
@click.option("--evidence", required=True, help="Where it can be seen that it was done, for the audit trail.")
def answer(
    environment: Environment,
    request_id: str,
    task_id: str,
    stores: tuple[str, ...],
    kept: tuple[str, ...],
    evidence: str,
) -> None:
    """Say that people have done what TASK_ID of REQUEST_ID asks; `rapport privacy show` lists the tasks.

    Nothing was held where no store is named.
    """
    request = answered(request_id, task_id, stores, kept, evidence)
    for line in privacy_view.whole(as_officer(environment, lambda stub: stub.CompleteManualTask(request))):
        click.echo(line)


def answered(
    request_id: str, task_id: str, stores: Iterable[str], kept: Iterable[str], evidence: str
) -> privacy_pb2.CompleteManualTaskRequest:
    """Return what is told of a task, of places as "NAME:FOUND:DONE" and of what was kept as "NAME:COUNT:GROUND[:DAY]".

    Raises:
        click.UsageError: One is written otherwise.
    """
    results = [_store(each) for each in stores]
    exceptions = [_exception(each) for each in kept]
    if exceptions:
        outcome = common_pb2.PRIVACY_TASK_OUTCOME_PARTIAL
    elif any(each.found for each in results):
        outcome = common_pb2.PRIVACY_TASK_OUTCOME_DONE
    else:
        outcome = common_pb2.PRIVACY_TASK_OUTCOME_NOTHING_HELD
    return privacy_pb2.CompleteManualTaskRequest(
        request_id=str(uuid4()),
        privacy_request_id=request_id,
        task_id=task_id,
        outcome=outcome,
        stores=results,
        exceptions=exceptions,
        reason=evidence,
    )


def _store(text: str) -> common_pb2.StoreResult:
    try:
        name, found, done = text.split(":")
        return common_pb2.StoreResult(store=name, found=int(found), acted=int(done))
    except ValueError:
        raise click.UsageError(f"{text!r} is not NAME:FOUND:DONE") from None


def _exception(text: str) -> common_pb2.StoreException:
    try:
        name, count, ground, *until = text.split(":")
        kept = common_pb2.StoreException(store=name, count=int(count), ground=ground)
        if until:
            (day,) = until
            end = Timestamp()
            end.FromDatetime(datetime.fromisoformat(day).replace(tzinfo=UTC))
            kept.until.CopyFrom(end)
    except ValueError:
        raise click.UsageError(f"{text!r} is not NAME:COUNT:GROUND[:DAY]") from None
    return kept
