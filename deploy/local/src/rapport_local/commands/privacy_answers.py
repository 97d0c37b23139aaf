"""`rapport privacy answer`: what people did whom no program asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import click
from google.protobuf.timestamp_pb2 import Timestamp
from rapport.common.v1 import privacy_pb2 as common_pb2
from rapport.consent.v1 import privacy_pb2, privacy_request_pb2

from rapport_local import privacy_view
from rapport_local.environment import Environment
from rapport_local.options import environment_option
from rapport_local.privacy_calls import Stub, as_officer
from rapport_local.record_files import pieces_of


@click.command()
@environment_option
@click.argument("request_id")
@click.argument("task_id")
@click.option("--store", "stores", multiple=True, metavar="NAME:FOUND:DONE", help="A place that was looked into.")
@click.option(
    "--kept", "kept", multiple=True, metavar="NAME:COUNT:GROUND[:DAY]", help="What was kept, why, and until when."
)
@click.option(
    "--records",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A copy of what was found, for the access package: lines of JSON, or a table (.csv).",
)
@click.option("--evidence", required=True, help="Where it can be seen that it was done, for the audit trail.")
def answer(
    environment: Environment,
    request_id: str,
    task_id: str,
    stores: tuple[str, ...],
    kept: tuple[str, ...],
    records: Path | None,
    evidence: str,
) -> None:
    """Say that people have done what TASK_ID of REQUEST_ID asks; `rapport privacy show` lists the tasks.

    Nothing was held where no store is named. What was found for a task of access is handed in with --records; the
    stores count it, so that a file that was cut off is refused.
    """
    request = answered(request_id, task_id, stores, kept, evidence)
    if records is not None:
        for _ in _pieces(request, records):
            pass  # read once before anything is sent: what is wrong with it is said here, not lost in a call

    async def tell(stub: Stub) -> privacy_request_pb2.PrivacyRequest:
        if records is None:
            return await stub.CompleteManualTask(request)
        return await stub.HandInRecords(_handed_in(request, records))

    for line in privacy_view.whole(as_officer(environment, tell)):
        click.echo(line)


async def _handed_in(
    request: privacy_pb2.CompleteManualTaskRequest, records: Path
) -> AsyncIterator[privacy_pb2.HandInRecordsRequest]:
    yield privacy_pb2.HandInRecordsRequest(task=request)
    for piece in _pieces(request, records):
        yield privacy_pb2.HandInRecordsRequest(lines=piece)


def _pieces(request: privacy_pb2.CompleteManualTaskRequest, records: Path) -> Iterator[bytes]:
    return pieces_of(records, request.stores[0].store if len(request.stores) == 1 else "")


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
