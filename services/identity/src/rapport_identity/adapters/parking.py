"""What was parked, in the transaction of a resolver."""

from __future__ import annotations

from collections.abc import Collection

from rapport_identity.adapters import parked
from rapport_identity.adapters.resolving import ResolvingUnit
from rapport_identity.app.units import Unit


class ParkedRecords:
    """`Parked`."""

    async def due(self, unit: Unit, limit: int) -> list[int]:
        """Return some that no frozen profile keeps out any more."""
        return await parked.due(_of(unit).connection, limit)

    async def done(self, unit: Unit, record_nos: Collection[int]) -> None:
        """Forget that they were parked."""
        await parked.forget(_of(unit).connection, record_nos)


def _of(unit: Unit) -> ResolvingUnit:
    assert isinstance(unit, ResolvingUnit)
    return unit
