"""Use case: tell every gate that a purpose was activated or retired. A ledger write with a position."""

from __future__ import annotations

from datetime import datetime

from rapport_consent.app.ledger import Token, Unit
from rapport_consent.domain.changes import change_by
from rapport_consent.domain.drafts import Draft
from rapport_consent.domain.purposes import Purpose
from rapport_consent.domain.rows import RowKind


async def tell_of_purpose(unit: Unit, purpose: Purpose, version: int, *, now: datetime) -> Token:
    """Record that a version was activated, or for version 0 that the purpose was retired, and tell every gate.

    Args:
        unit: The transaction in which that was decided.
        purpose: The purpose as it results.
        version: The version activated; 0 when it was retired.
        now: When.
    """
    known = await unit.lock([])
    row = known.take(purpose.purpose_id, Draft(RowKind.PURPOSE, now, purpose.purpose_id, purpose_version=version))
    await unit.write(known, [change_by(known.history, row, purpose=purpose)])
    return Token(known.epoch, known.position)
