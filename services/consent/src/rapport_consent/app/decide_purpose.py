"""Use cases: put a version of a purpose in force, and take a purpose out of force. Ledger writes with a position."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from rapport_consent.app.ledger import Token, Unit
from rapport_consent.domain.changes import change_by
from rapport_consent.domain.drafts import Draft
from rapport_consent.domain.purposes import Purpose
from rapport_consent.domain.rows import RowKind


class PurposeUnit(Unit, Protocol):
    """A unit that can also decide on versions of purposes."""

    async def activate(
        self, purpose_id: str, version: int, *, active_from: datetime, now: datetime, actor: str, reason: str
    ) -> None:
        """Put a drafted version in force from a time on."""
        ...

    async def retire(self, purpose_id: str, *, now: datetime, actor: str, reason: str) -> None:
        """Take every version out of force."""
        ...

    async def purpose(self, purpose_id: str) -> Purpose:
        """Return a purpose as this transaction leaves it."""
        ...


async def activate_purpose(
    unit: PurposeUnit,
    purpose_id: str,
    version: int,
    *,
    active_from: datetime,
    now: datetime,
    actor: str,
    reason: str,
) -> Token:
    """Put a drafted version in force.

    Raises:
        RapportError: VERSION_NOT_FOUND, VERSION_STATE_INVALID.
    """
    await unit.activate(purpose_id, version, active_from=active_from, now=now, actor=actor, reason=reason)
    return await _tell(unit, purpose_id, version, now)


async def retire_purpose(unit: PurposeUnit, purpose_id: str, *, now: datetime, actor: str, reason: str) -> Token:
    """Take a purpose out of force: every check of it then denies.

    Raises:
        RapportError: VERSION_NOT_FOUND, VERSION_STATE_INVALID.
    """
    await unit.retire(purpose_id, now=now, actor=actor, reason=reason)
    return await _tell(unit, purpose_id, 0, now)


async def _tell(unit: PurposeUnit, purpose_id: str, version: int, now: datetime) -> Token:
    known = await unit.lock([])
    draft = Draft(RowKind.PURPOSE, now, purpose_id, purpose_version=version)
    row = known.take(purpose_id, draft)
    await unit.write(known, [change_by(known.history, row, purpose=await unit.purpose(purpose_id))])
    return Token(known.epoch, known.position)
