"""Which rounds of anniversaries were told of: by record and year, without a date."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from rapport_chassis.events import outbox

from rapport_identity.adapters.resolving import ResolvingUnit
from rapport_identity.app.anniversaries import Coming
from rapport_identity.app.units import Unit
from rapport_identity.domain.anniversaries import Anniversary
from rapport_identity.translate.anniversaries import KINDS, due_event

_KIND_OF: Final = {int(number): kind for kind, number in KINDS.items()}

_LOOKED_UNTIL: Final = "SELECT looked_until FROM anniversary_progress"
_LOOKED: Final = "UPDATE anniversary_progress SET looked_until = %(until)s WHERE looked_until < %(until)s"
_TOLD: Final = "SELECT record_no, kind, round FROM anniversaries WHERE record_no = ANY (%s)"
_TELL: Final = """
INSERT INTO anniversaries SELECT * FROM unnest(%s::bigint[], %s::smallint[], %s::smallint[])
ON CONFLICT (record_no, kind) DO UPDATE SET round = excluded.round WHERE anniversaries.round < excluded.round
"""


class AnniversaryRounds:
    """`Rounds`."""

    async def looked_until(self, unit: Unit) -> datetime:
        """Return up to when somebody has looked at everybody."""
        row = await (await _of(unit).connection.execute(_LOOKED_UNTIL)).fetchone()
        if row is None:
            raise RuntimeError("nothing is known of anniversaries: the database was not migrated")
        found: datetime = row[0]
        return found

    async def looked(self, unit: Unit, until: datetime) -> None:
        """Note that everybody was looked at."""
        await _of(unit).connection.execute(_LOOKED, {"until": until})

    async def told(self, unit: Unit, numbers: Collection[int]) -> Mapping[tuple[int, Anniversary], int]:
        """Return the last round that each of these records was told of in."""
        rows = await (await _of(unit).connection.execute(_TOLD, (list(numbers),))).fetchall()
        return {(number, _KIND_OF[kind]): year for number, kind, year in rows}

    async def tell(self, unit: Unit, comings: Sequence[Coming], recorded_at: datetime, expires_at: datetime) -> None:
        """Tell of rounds, and remember it."""
        rows = [(number, int(KINDS[each.kind]), each.round) for each in comings for number in each.numbers]
        connection = _of(unit).connection
        await connection.execute(_TELL, [list(column) for column in zip(*rows, strict=True)])
        await outbox.append(connection, [due_event(each, recorded_at, expires_at) for each in comings])


def _of(unit: Unit) -> ResolvingUnit:
    assert isinstance(unit, ResolvingUnit)
    return unit
