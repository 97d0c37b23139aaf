"""Use case: record an objection (GDPR Article 21)."""

from collections.abc import Sequence
from datetime import datetime

from rapport_consent.app.ledger import LedgerWrite, Unit, write
from rapport_consent.domain.negatives import draft_objections


async def record_objection(
    unit: Unit,
    profile_id: str,
    purpose_ids: Sequence[str],
    brand_id: str,
    *,
    occurred_at: datetime | None,
    now: datetime,
) -> LedgerWrite:
    """Record an objection to the purposes named, or to direct marketing as a whole where none is.

    Raises:
        RapportError: UNKNOWN_PURPOSE, OCCURRED_IN_FUTURE, PROFILE_ERASED.
    """
    known = await unit.lock([profile_id])
    drafts = draft_objections(purpose_ids, brand_id, known.catalogue.purposes, occurred_at=occurred_at, now=now)
    return await write(unit, known, profile_id, drafts)
