"""Whoever says no is taken out, also if the gate did not know freshly enough when it was looked at first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rapport_churn.app.ports import Scope
from rapport_churn.app.withdrawals import Change, Withdrawals
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
    """One person of whom something is held, until it is taken away."""

    def __init__(self) -> None:
        self.taken: list[Scope] = []

    async def people(self, after: str, limit: int) -> Sequence[str]:
        return [] if self.taken or after >= WHO else [WHO]

    async def among(self, profile_ids: Collection[str]) -> frozenset[str]:
        return frozenset() if self.taken else frozenset({WHO}.intersection(profile_ids))

    async def remove(self, profile_ids: Sequence[str], scope: Scope) -> bool:
        self.taken.append(scope)
        return True

    async def absorbed(self, profile_ids: Collection[str], current_ids: Collection[str]) -> None:
        raise AssertionError("nobody was merged")

    async def permitted(self, profile_ids: Collection[str]) -> None:
        raise AssertionError("nobody is permitted")


@pytest.mark.parametrize("named", [True, False], ids=["whom a change names", "whom nobody names"])
async def test_a_look_that_the_gate_could_not_answer_is_taken_again_as_soon_as_it_can(
    test_clock: TestClock, named: bool
) -> None:
    gate, held = Gate(test_clock), Held()
    replica = cast(Any, SimpleNamespace(warm=True, generation=1, position=7))
    people = SimpleNamespace(ids_of=lambda current_id: (current_id,))
    withdrawals = Withdrawals(gate, people, replica, held, test_clock, purpose_id="profiling", brand_id="")
    if named:
        withdrawals.observe(Change(7, frozenset({WHO}), purposes=False))
    for _ in range(40):
        await withdrawals.step()
        test_clock.advance(0.1)
    assert held.taken == []
    gate.answer, gate.reason = Answer.DENY, Reason.WITHDRAWN
    for _ in range(6):
        await withdrawals.step()
        test_clock.advance(0.1)
    assert held.taken == [Scope.FACTS]
