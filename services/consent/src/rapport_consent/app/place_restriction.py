"""Use case: restrict processing to storage (GDPR Article 18)."""

from datetime import datetime

from rapport_consent.app.ledger import LedgerWrite, Unit, write
from rapport_consent.domain.negatives import draft_restriction


async def place_restriction(unit: Unit, profile_id: str, ground: str, *, now: datetime) -> LedgerWrite:
    """Place a restriction.

    Raises:
        RapportError: PROFILE_ERASED.
    """
    return await write(unit, await unit.lock([profile_id]), profile_id, [draft_restriction(ground, now=now)])
