"""Who may be written about: not the erased."""

from __future__ import annotations

from rapport_chassis.database.pool import Connection
from rapport_privacy.participant import living

from rapport_pricing.domain.errors import ERRORS


async def alive(connection: Connection, profile_id: str) -> None:
    """Make sure that a person may be written about until the transaction ends; nobody in particular always may.

    Raises:
        RapportError: PROFILE_ERASED.
    """
    if profile_id and not await living.writable(connection, [profile_id]):
        raise ERRORS.error("PROFILE_ERASED", "the person was erased")
