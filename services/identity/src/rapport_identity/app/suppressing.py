"""Keeps what was erased from coming back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rapport_chassis.errors import RapportError

from rapport_identity.app.facts import RawTouchpoint
from rapport_identity.app.stored import Submission
from rapport_identity.app.units import Unit
from rapport_identity.domain.errors import ERRORS


class SuppressionList(Protocol):
    """What is remembered of erased people, under keyed hashes."""

    async def blocked_records(self, unit: Unit, submissions: Sequence[Submission]) -> set[int]:
        """Return the places of records that must not come back."""
        ...

    async def blocked_touchpoints(self, unit: Unit, touchpoints: Sequence[RawTouchpoint]) -> set[int]:
        """Return the places of touchpoints that must not come back."""
        ...


def suppressed() -> RapportError:
    """Return the answer to what must not come back."""
    return ERRORS.error("SUPPRESSED", "it is from before an erasure")
