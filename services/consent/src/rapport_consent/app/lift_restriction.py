"""Use case: lift a restriction, once the person has been told (GDPR Article 18(3))."""

from datetime import datetime

from rapport_consent.app.ledger import LedgerWrite, Unit, write
from rapport_consent.domain.negatives import draft_lift


async def lift_restriction(unit: Unit, profile_id: str, subject_told_at: datetime, *, now: datetime) -> LedgerWrite:
    """Lift the restriction in force.

    Raises:
        RapportError: SUBJECT_NOT_TOLD, PROFILE_ERASED.
    """
    lift = draft_lift(subject_told_at, now=now)
    return await write(unit, await unit.lock([profile_id]), profile_id, [lift])
