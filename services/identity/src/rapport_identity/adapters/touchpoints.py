"""Facts and the answers to their sources, in the transaction of a resolver."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from rapport_chassis.database.engine import Database
from rapport_chassis.events import outbox

from rapport_identity.adapters import facts as rows
from rapport_identity.adapters import undecided
from rapport_identity.adapters.resolving import ResolvingUnit
from rapport_identity.app.facts import Answered, Fact, Ingested
from rapport_identity.app.stored import SourceKey, StoredFact
from rapport_identity.app.units import Unit
from rapport_identity.domain.sightings import Sighted
from rapport_identity.translate.touchpoints import (
    answer_bytes,
    answer_in,
    permit_of,
    sighted_in,
    touchpoint_message,
)


class TouchpointFacts:
    """`Facts`."""

    async def answered(self, unit: Unit, events: Collection[SourceKey]) -> Mapping[SourceKey, Answered]:
        """Return what those of the events that were taken in before were answered; to be asked under the lock."""
        known = await rows.answered(_of(unit).connection, _of(unit).hasher, list(events))
        return {event: Answered(answer_in(each.answer), each.record_no) for event, each in known.items()}

    async def seen_together(self, unit: Unit, record_nos: Collection[int]) -> Mapping[int, Sequence[Sighted]]:
        """Return the identifiers that sightings hold, as their sources had them.

        Raises:
            RapportError: NOT_READY.
        """
        if not record_nos:
            return {}
        held = await _of(unit).held(record_nos)
        return {each.record_no: sighted_in(each.payload) for each in held if each.payload is not None}

    async def record(
        self, unit: Unit, position: int, facts: Sequence[Fact], answers: Sequence[tuple[SourceKey, Ingested]]
    ) -> None:
        """Write facts, tell of them, and remember what their sources are answered."""
        stored = [_stored(each) for each in facts]
        permits = [[permit_of(*each) for each in sorted(fact.permits.items())] for fact in facts]
        if stored:
            await rows.add(_of(unit).target(len(stored)), position, stored, permits)
            _of(unit).tell(rows.events_of(stored))
            await undecided.add(_of(unit), facts)
        remembered = [
            (event, rows.Answer(ingested.fact_id or None, answer_bytes(ingested))) for event, ingested in answers
        ]
        if remembered:
            target = _of(unit).target(len(remembered))
            await rows.remember(target, answers[0][1].recorded_at, _of(unit).hasher, remembered)


def _of(unit: Unit) -> ResolvingUnit:
    assert isinstance(unit, ResolvingUnit)
    return unit


def _stored(fact: Fact) -> StoredFact:
    touchpoint = fact.touchpoint
    return StoredFact(
        fact.fact_id,
        fact.record_no,
        fact.profile_id,
        fact.owner_version,
        touchpoint.type,
        touchpoint_message(touchpoint).SerializeToString(deterministic=True),
        touchpoint.occurred_at,
        fact.recorded_at,
    )


class OutboxBacklog:
    """`Backlog`: what waits in the outbox.

    Args:
        database: Where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def oldest_unpublished_s(self) -> float:
        """Return for how many seconds the oldest event has waited to be published; 0 if none waits."""
        async with self._database.transaction() as connection:
            return await outbox.oldest_unpublished_s(connection)
