"""Whoever says no is taken out and whoever says yes is scored, also if nobody heard it, or the gate knew too little."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rapport_churn.app.ports import Scope
from rapport_churn.app.withdrawals import Change, Somebody, Withdrawals
from rapport_privacy.decision import Decision
from rapport_privacy.vocabulary import Answer, Reason
from rapport_testing.clock import TestClock

WHO = "prf_0123456789"


class Gate:
    """Answers the same about everybody."""

    def __init__(self, clock: TestClock) -> None:
        self._clock = clock
        self.answer, self.reason = Answer.DENY_STALE, Reason.STALE

    def check(self, profile_id: str, purpose_id: str, **_: Any) -> Decision:
        return Decision(self.answer, self.reason, 0, 1, profile_id, None, "epoch", 7, self._clock.now(), 0.0)


class Held:
    """One person: of whom something is held until it is taken away, or who waits until a score is asked for."""

    def __init__(self, *, waits: bool = False) -> None:
        self.waits = waits
        self.taken: list[Scope] = []
        self.scored: list[tuple[str, ...]] = []

    async def people(self, after: str, limit: int) -> Sequence[Somebody]:
        return [] if self.taken or after >= WHO else [Somebody(WHO, self.waits)]

    async def among(self, profile_ids: Collection[str], scope: Scope) -> frozenset[str]:
        return frozenset() if self.taken or self.waits else frozenset({WHO}.intersection(profile_ids))

    async def remove(self, profile_ids: Sequence[str], scope: Scope) -> bool:
        self.taken.append(scope)
        return True

    async def absorbed(self, profile_ids: Collection[str], current_ids: Collection[str]) -> None:
        raise AssertionError("nobody was merged")

    async def permitted(self, people: Collection[Sequence[str]]) -> None:
        self.scored += map(tuple, people)
        self.waits = False


class Looks:
    """Withdrawals over a ledger that can be loaded anew."""

    def __init__(self, gate: Gate, held: Held, clock: TestClock) -> None:
        self.replica = SimpleNamespace(warm=True, generation=1, position=7)
        self._clock = clock
        self.at = Withdrawals(
            gate,
            SimpleNamespace(ids_of=lambda current_id: (current_id,)),
            cast(Any, self.replica),
            held,
            clock,
            purpose_id="profiling",
            brand_id="",
        )

    async def go_on(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            await self.at.step()
            self._clock.advance(0.1)


@pytest.mark.parametrize("named", [True, False], ids=["whom a change names", "whom nobody names"])
async def test_a_look_that_the_gate_could_not_answer_is_taken_again_as_soon_as_it_can(
    test_clock: TestClock, named: bool
) -> None:
    gate, held = Gate(test_clock), Held()
    looks = Looks(gate, held, test_clock)
    if named:
        looks.at.observe(Change(7, frozenset({WHO}), purposes=False))
    await looks.go_on(4.0)
    assert held.taken == []
    gate.answer, gate.reason = Answer.DENY, Reason.WITHDRAWN
    await looks.go_on(0.6)
    assert held.taken == [Scope.FACTS]


async def test_everybody_has_a_turn_while_changes_about_others_never_end(test_clock: TestClock) -> None:
    gate, held = Gate(test_clock), Held()
    gate.answer, gate.reason = Answer.DENY, Reason.EXPIRED
    looks = Looks(gate, held, test_clock)
    for position in range(8, 12):
        looks.at.observe(Change(position, frozenset({"prf_another"}), purposes=False))
        await looks.go_on(0.1)
    assert held.taken == [Scope.SCORES]


@pytest.mark.parametrize("heard", ["a load", "a purpose", "nothing"])
async def test_whoever_waits_is_scored_once_permitted_also_if_nobody_heard_of_it(
    test_clock: TestClock, heard: str
) -> None:
    gate, held = Gate(test_clock), Held(waits=True)
    gate.answer, gate.reason = Answer.DENY, Reason.NO_DECISION
    looks = Looks(gate, held, test_clock)
    await looks.go_on(1.0)
    assert (held.scored, held.taken) == ([], [])
    gate.answer, gate.reason = Answer.PERMIT, Reason.GRANTED
    if heard == "a load":
        looks.replica.generation += 1
    elif heard == "a purpose":
        looks.at.observe(Change(8, frozenset(), purposes=True))
    await looks.go_on(61.0 if heard == "nothing" else 0.2)
    assert held.scored == [(WHO,)]
    await looks.go_on(120.0)
    assert (held.scored, held.taken) == ([(WHO,)], [])
