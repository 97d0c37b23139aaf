"""Decides later what the gate could not say when a touchpoint was taken in.

While the gate is behind, what needs nobody's consent goes on: an order is recorded, for its contract alone.
Once the gate knows, it is asked for the other purposes, and the fact is told again for those that it permits now. What
only they would have needed was not kept: the fact stays as bare as it was recorded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_privacy.decision import Decision
from rapport_privacy.permits import Permits
from rapport_privacy.vocabulary import Answer

from rapport_identity.app.collecting import ask, verdict_of
from rapport_identity.app.declarations import Registry
from rapport_identity.app.partition import Partition
from rapport_identity.app.stored import StoredFact
from rapport_identity.app.units import Unit
from rapport_identity.domain.declarations import TypeTerms
from rapport_identity.domain.permission import Verdict
from rapport_identity.domain.touchpoints import Touchpoint

_AT_ONCE: Final = 500
_AGAIN_S: Final = 0.5
"""After how long a gate that is behind is asked again."""


@dataclass(frozen=True, slots=True)
class Undecided:
    """A fact that is recorded, and for more purposes to be decided on.

    Attributes:
        fact: As it is recorded.
        touchpoint: What of it is kept.
        purpose_ids: The purposes that nothing could be said of.
    """

    fact: StoredFact
    touchpoint: Touchpoint
    purpose_ids: tuple[str, ...]


class UndecidedFacts(Protocol):
    """Where they are kept: within a transaction on the partition."""

    async def due(self, unit: Unit, limit: int) -> list[Undecided]:
        """Return some of them."""
        ...

    async def decide(self, unit: Unit, decided: Sequence[tuple[Undecided, Mapping[str, Verdict]]]) -> None:
        """Note for which purposes each is permitted, and tell of it again if there are any: it is decided."""
        ...


class DecideLater:
    """Asks the gate again, for all that is undecided.

    Args:
        partition: Says whose each fact is.
        facts: What is undecided.
        registry: What may be collected.
        gate: What is permitted.
        clock: The time.
    """

    def __init__(
        self, partition: Partition, facts: UndecidedFacts, *, registry: Registry, gate: Permits, clock: Clock
    ) -> None:
        self._partition = partition
        self._facts = facts
        self._registry = registry
        self._gate = gate
        self._clock = clock

    async def step(self) -> bool:
        """Decide on some of it, in one transaction; return whether there was any.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._partition.units.unit() as unit:
            waiting = await self._facts.due(unit, 1)
        if not waiting:
            return False
        if self._is_behind(waiting[0]):
            await self._clock.sleep(_AGAIN_S)  # without keeping anybody out
            return True
        async with self._partition.session() as session:
            declared = await self._registry.declared(session.unit, self._clock.now())
            owners = session.replica.owners
            decided = []
            for each in await self._facts.due(session.unit, _AT_ONCE):
                subjects = {each.fact.profile_id, owners.get(each.fact.record_no, each.fact.profile_id)}
                permits = self._permits(each, declared.types.get(each.touchpoint.type), subjects)
                if permits is not None:
                    decided.append((each, permits))
            if decided:
                await self._facts.decide(session.unit, decided)
        return True

    def _is_behind(self, each: Undecided) -> bool:
        """Whether the gate can still say nothing: how much it knows is the same for all."""
        return self._permits(each, TypeTerms(each.purpose_ids), {each.fact.profile_id}) is None

    def _permits(
        self, each: Undecided, terms: TypeTerms | None, subjects: Collection[str]
    ) -> Mapping[str, Verdict] | None:
        """Return the gate's answer for each purpose that it permits; None while it does not know enough."""
        permits: dict[str, Verdict] = {}
        for purpose_id in each.purpose_ids:
            if terms is None or purpose_id not in terms.purpose_ids:
                continue  # declared no longer
            # Whoever may have the fact sees the attributes that were kept of it.
            categories = (terms.data_category, *(one.data_category for one in each.touchpoint.attributes))
            try:
                answers = [self._ask(each.touchpoint, purpose_id, one, subjects) for one in categories]
            except RapportError:  # it asks for a brand by now, and the touchpoint names none
                continue
            if any(one.answer == Answer.DENY_STALE for one in answers):
                return None
            if all(one.permitted for one in answers):
                permits[purpose_id] = verdict_of(answers[0])
        return permits

    def _ask(self, touchpoint: Touchpoint, purpose_id: str, data_category: str, subjects: Collection[str]) -> Decision:
        return ask(
            self._gate,
            subjects,
            purpose_id,
            brand_id=touchpoint.brand_id,
            market=touchpoint.market,
            data_category=data_category,
        )
