"""Restores of the ledger as messages."""

from __future__ import annotations

from typing import Final

from rapport.common.v1 import freshness_pb2
from rapport.consent.v1 import consent_pb2
from rapport_chassis.times import stamp

from rapport_consent.app.restores import Restore, Verdict

DECISIONS: Final[dict[int, Verdict]] = {
    consent_pb2.RESTORE_DECISION_COUNT: "count",
    consent_pb2.RESTORE_DECISION_ASK_AGAIN: "ask_again",
}
"""What can be decided."""

_NUMBERS: Final = {name: number for number, name in DECISIONS.items()}


def restore_message(restore: Restore) -> consent_pb2.LedgerRestore:
    """Return a restore as a message."""
    return consent_pb2.LedgerRestore(
        restored_at=stamp(restore.restored_at),
        backed_up=freshness_pb2.LedgerPosition(epoch=restore.epoch, position=restore.position),
        replayed_at=stamp(restore.replayed_at) if restore.replayed_at else None,
        rows_recorded=restore.recorded,
        doubted_until=stamp(restore.doubted_until) if restore.doubted_until else None,
        decision=_NUMBERS[restore.decision] if restore.decision else 0,  # type: ignore[arg-type] # as the contract
        decided_at=stamp(restore.decided_at) if restore.decided_at else None,
        decided_by=restore.decided_by or "",
    )
