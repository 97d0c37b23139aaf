"""Use case: follow a merge or split of profiles, as identity tells of it."""

from __future__ import annotations

from datetime import datetime

from rapport_consent.app.ledger import LedgerWrite, Token, Unit
from rapport_consent.domain.changes import change_by
from rapport_consent.domain.drafts import Draft
from rapport_consent.domain.rows import PartitionChange, RowKind


async def follow_profiles(
    unit: Unit, kind: RowKind, named_id: str, partition: PartitionChange, *, occurred_at: datetime
) -> LedgerWrite:
    """Record the merge or split, also when no id has a row: participants wait for its position.

    Args:
        unit: The transaction, in which the event was also entered as received.
        kind: MERGE or SPLIT.
        named_id: The profile that identity's event is about.
        partition: What resulted. An older word on an id than the one known changes nothing.
        occurred_at: When it happened.
    """
    known = await unit.lock(partition.ids)
    row = known.take(named_id, Draft(kind, occurred_at))._replace(partition=partition)
    change = change_by(known.history, row)
    await unit.write(known, [change])
    return LedgerWrite((row,), Token(known.epoch, known.position), change.current_id)
