"""Use case: fence every id of a person for ever, and blank the rows about them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from rapport_consent.app.ledger import LedgerWrite, Token, Unit
from rapport_consent.domain.changes import change_by
from rapport_consent.domain.drafts import Draft
from rapport_consent.domain.erasure import carried_over
from rapport_consent.domain.rows import RowKind


class BlankingUnit(Unit, Protocol):
    """A unit that can blank the rows of ids with a recorded erasure."""

    async def blank(self, profile_ids: Collection[str]) -> None:
        """Blank the rows that name these ids."""
        ...


async def raise_fence(unit: BlankingUnit, profile_id: str, privacy_request_id: str, *, now: datetime) -> LedgerWrite:
    """Fence the closure that an id is part of. Repeated, it fences only what was not fenced yet.

    Negatives of the erased that count on somebody who lives are written anew under the living id first.
    """
    known = await unit.lock([profile_id])
    history = known.history
    closure = history.partition.closure_of(profile_id)
    unfenced = sorted(i for i in closure if history.fence(i) is None)
    drafts = carried_over(history, closure) if unfenced else []
    drafts += [(i, Draft(RowKind.FENCE, now, ground=privacy_request_id)) for i in unfenced]
    changes = [change_by(history, known.take(named_id, draft)) for named_id, draft in drafts]
    await unit.write(known, changes)
    await unit.blank(sorted(closure))
    fences = tuple(change.row for change in changes if change.row.kind is RowKind.FENCE)
    return LedgerWrite(fences, Token(known.epoch, known.position), history.partition.survivor(profile_id))
