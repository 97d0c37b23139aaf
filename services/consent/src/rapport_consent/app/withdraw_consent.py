"""Use case: take consent back."""

from collections.abc import Sequence
from datetime import datetime

from rapport_consent.app.ledger import LedgerWrite, Unit, write
from rapport_consent.domain.negatives import draft_withdrawals


async def withdraw_consent(
    unit: Unit,
    profile_id: str,
    purpose_ids: Sequence[str],
    brand_id: str,
    *,
    occurred_at: datetime | None,
    now: datetime,
) -> LedgerWrite:
    """Withdraw from the purposes named, or from all that rest on consent: chosen under the lock, so none is missed.

    Raises:
        RapportError: UNKNOWN_PURPOSE, OCCURRED_IN_FUTURE, PROFILE_ERASED.
    """
    known = await unit.lock([profile_id])
    drafts = draft_withdrawals(purpose_ids, brand_id, known.catalogue.purposes, occurred_at=occurred_at, now=now)
    return await write(unit, known, profile_id, drafts)
