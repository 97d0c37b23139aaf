"""Facts with purposes that are still to be decided on, in the transaction of a resolver."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from rapport.identity.v1 import touchpoint_pb2

from rapport_identity.adapters.bulk import Rows
from rapport_identity.adapters.facts import STORED, events_of, stored
from rapport_identity.adapters.resolving import ResolvingUnit
from rapport_identity.app.facts import Fact
from rapport_identity.app.undecided import Undecided
from rapport_identity.app.units import Unit
from rapport_identity.domain.permission import Verdict
from rapport_identity.translate.touchpoints import permit_of, touchpoint_of

_UNDECIDED: Final = Rows("undecided_purposes", (("fact_id", "text"), ("purpose_id", "text")))
_DUE: Final = f"""
SELECT purpose_ids, {STORED} FROM (
    SELECT fact_id, array_agg(purpose_id ORDER BY purpose_id) AS purpose_ids FROM undecided_purposes
    GROUP BY fact_id ORDER BY fact_id LIMIT %s
) AS waiting JOIN facts USING (fact_id) ORDER BY fact_id
"""  # noqa: S608 - made of constants
_PERMIT: Final = """
UPDATE facts SET permits = facts.permits || new.permits::jsonb
FROM unnest(%s::text[], %s::text[]) AS new (fact_id, permits) WHERE facts.fact_id = new.fact_id
"""
_DECIDED: Final = "DELETE FROM undecided_purposes WHERE fact_id = ANY (%s)"
_NAMED: Final = f"SELECT {STORED} FROM facts WHERE fact_id = ANY (%s) ORDER BY fact_id"  # noqa: S608


async def add(unit: ResolvingUnit, facts: Sequence[Fact]) -> None:
    """Note what is undecided of facts that this transaction writes."""
    rows = [(fact.fact_id, purpose_id) for fact in facts for purpose_id in fact.undecided]
    if rows:
        await _UNDECIDED.write(unit.target(len(rows)), rows)


class UndecidedPurposes:
    """`UndecidedFacts`."""

    async def due(self, unit: Unit, limit: int) -> list[Undecided]:
        """Return some of them."""
        rows = await (await _of(unit).connection.execute(_DUE, (limit,))).fetchall()
        return [_undecided(*row) for row in rows]

    async def decide(self, unit: Unit, decided: Sequence[tuple[Undecided, Mapping[str, Verdict]]]) -> None:
        """Note for which purposes each is permitted, and tell of it again if there are any: it is decided."""
        connection = _of(unit).connection
        more = {
            each.fact.fact_id: json.dumps([permit_of(*permit) for permit in sorted(permits.items())])
            for each, permits in decided
            if permits
        }
        if more:
            await connection.execute(_PERMIT, (list(more), list(more.values())))
            rows = await (await connection.execute(_NAMED, (list(more),))).fetchall()
            _of(unit).tell(events_of([stored(row) for row in rows]))
        await connection.execute(_DECIDED, ([each.fact.fact_id for each, _ in decided],))


def _undecided(purpose_ids: Sequence[str], *row: object) -> Undecided:
    fact = stored(row)
    return Undecided(fact, touchpoint_of(touchpoint_pb2.Touchpoint.FromString(fact.payload)), tuple(purpose_ids))


def _of(unit: Unit) -> ResolvingUnit:
    assert isinstance(unit, ResolvingUnit)
    return unit
