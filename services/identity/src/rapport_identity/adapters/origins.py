"""How records came: the first of their moves."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from rapport_identity.adapters.resolving import ResolvingUnit
from rapport_identity.app.explain import Origin
from rapport_identity.app.units import Unit

_ORIGINS: Final = """
SELECT record_no, to_profile, recorded_at FROM unnest(%s::bigint[]) AS wanted (wanted_no)
CROSS JOIN LATERAL (SELECT record_no, to_profile, recorded_at FROM moves
    WHERE record_no = wanted_no ORDER BY position, ordinal LIMIT 1) AS came
"""


class RecordOrigins:
    """`Origins`."""

    async def origins(self, unit: Unit, numbers: Collection[int]) -> Mapping[int, Origin]:
        """Return how each of these records came."""
        assert isinstance(unit, ResolvingUnit)
        rows = await (await unit.connection.execute(_ORIGINS, (list(numbers),))).fetchall()
        return {number: Origin(profile_id, at) for number, profile_id, at in rows}
