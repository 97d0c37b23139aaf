"""`rapport privacy restored`: what is in doubt since the ledger was restored from a backup, and what becomes of it."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import Final, Literal
from uuid import uuid4

import click
from rapport.consent.v1 import consent_pb2, consent_pb2_grpc

from rapport_local.aligned import columns
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.options import environment_option
from rapport_local.privacy_calls import call_as_officer
from rapport_local.privacy_view import when

_HEADINGS: Final = ("restored (UTC)", "backup ended at", "taken in", "grants in doubt up to", "decision", "by")
_PENDING: Final = consent_pb2.RESTORE_DECISION_UNSPECIFIED
_DECISIONS: Final = {
    "count": consent_pb2.RESTORE_DECISION_COUNT,
    "ask-again": consent_pb2.RESTORE_DECISION_ASK_AGAIN,
}


@click.command()
@environment_option
@click.option(
    "--decide",
    type=click.Choice(["count", "ask-again"]),
    help="What becomes of grants in doubt: they count again, or people have to be asked again.",
)
@click.option("--reason", help="Why, for the audit trail; with --decide.")
def restored(environment: Environment, decide: Literal["count", "ask-again"] | None, reason: str | None) -> None:
    """Show restores of the consent ledger.

    Where the stream does not reach back to the backup, withdrawals may be lost: grants from before are withheld from
    every gate until an officer decides, here.
    """
    if (decide is None) is not (reason is None):
        raise click.UsageError("--decide and --reason belong together")
    made = consent_pb2_grpc.ConsentServiceStub
    found = call_as_officer(
        environment, made, lambda stub: stub.ListRestores(consent_pb2.ListRestoresRequest())
    ).restores
    if decide is not None:
        pending = [each for each in found if each.HasField("doubted_until") and each.decision == _PENDING]
        if not pending:
            raise Failure("nothing waits for a decision")
        for each in pending:
            request = consent_pb2.DecideRestoreRequest(
                request_id=str(uuid4()),
                restored_at=each.restored_at,
                decision=_DECISIONS[decide],
                reason=reason or "",
            )
            each.CopyFrom(call_as_officer(environment, made, partial(_decide, request)))
    rows = [_row(each) for each in found]
    for line in columns(_HEADINGS, rows) if rows else ["The ledger was never restored."]:
        click.echo(line)


def _decide(
    request: consent_pb2.DecideRestoreRequest, stub: consent_pb2_grpc.ConsentServiceAsyncStub
) -> Awaitable[consent_pb2.LedgerRestore]:
    return stub.DecideRestore(request)


def _row(restore: consent_pb2.LedgerRestore) -> tuple[str, ...]:
    doubted = restore.HasField("doubted_until")
    decision = next((name for name, number in _DECISIONS.items() if number == restore.decision), "")
    return (
        when(restore.restored_at),
        str(restore.backed_up.position),
        str(restore.rows_recorded) if restore.HasField("replayed_at") else "under way",
        when(restore.doubted_until) if doubted else "none",
        decision or ("awaited" if doubted else ""),
        restore.decided_by,
    )
