"""Whoever is due is scored by all that was heard, whoever heard it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from churn_model import artefact
from rapport_churn.adapters.native import load_scorer
from rapport_churn.app.people import LedgerPeople
from rapport_churn.app.ports import Entered, History, Serving, Stretch
from rapport_churn.app.rescoring import Rescoring, Telling, Told
from rapport_churn.app.scores import ScoreProfiles
from rapport_churn.app.states import States
from rapport_churn.app.times import micros_of
from rapport_churn.domain.facts import DAY, Fact, FactKind
from rapport_churn.domain.features import DEFAULT_FEATURES
from rapport_churn.domain.risk import RiskLevel, RiskPolicy
from rapport_churn.domain.vectors import Plan
from rapport_privacy.decision import Decision
from rapport_privacy.vocabulary import Answer, Reason
from rapport_testing.clock import TestClock

WHO = "prf_0123456789"


class Log:
    """The event log, in memory."""

    def __init__(self) -> None:
        self.entered: list[Entered] = []

    def enter(self, at: int) -> None:
        number = len(self.entered) + 1
        self.entered.append(Entered(number, Fact(f"fct_{number}", WHO, 1, FactKind.ORDER, at, at, 1000), ()))

    async def of(self, profile_ids: Collection[str]) -> History:
        return History("epoch", len(self.entered), [each.fact for each in self.entered])

    async def head(self) -> tuple[str, int]:
        return "epoch", len(self.entered)

    async def after(self, epoch: str, position: int, limit: int) -> Stretch:
        return Stretch("epoch", len(self.entered), self.entered[position:], ())


class Rounds:
    """One customer, who is always due, of whom another process has heard."""

    def __init__(self) -> None:
        self.due: Sequence[Told] = [Told(WHO, 0, 0, RiskLevel.NONE, None, "", "", "")]
        self.told: list[Telling] = []

    async def hear(self, now: datetime) -> bool:
        return False

    @asynccontextmanager
    async def round(self, model_id: str, now: datetime, limit: int) -> AsyncIterator[Rounds]:
        yield self

    async def tell(self, tellings: Sequence[Telling]) -> None:
        self.told += tellings

    async def turn_to(self, profile_ids: Sequence[str], now: datetime) -> None:
        raise AssertionError("nobody was merged")


def permitted(clock: TestClock, profile_id: str) -> Decision:
    return Decision(Answer.PERMIT, Reason.GRANTED, 0, 1, profile_id, None, "epoch", 7, clock.now(), 0.0)


async def test_what_another_process_heard_is_in_the_score(test_clock: TestClock) -> None:
    now, log, rounds = micros_of(test_clock.now()), Log(), Rounds()
    states = States(log, Plan(DEFAULT_FEATURES), 10)
    replica = SimpleNamespace(contents=SimpleNamespace(recent={}))
    score = ScoreProfiles(
        cast(Any, SimpleNamespace(check=lambda profile_id, *_, **__: permitted(test_clock, profile_id))),
        LedgerPeople(cast(Any, replica)),
        states,
        SimpleNamespace(
            champion=Serving("mdl_1", 1, test_clock.now(), load_scorer(artefact())),
            challenger=None,
        ),
        lambda profile_id: False,
        test_clock,
        "profiling",
    )
    rescoring = Rescoring(score, rounds, RiskPolicy(), every=timedelta(hours=24))
    for purchases, days_ago in enumerate((100, 10)):
        log.enter(now - days_ago * DAY)
        assert await rescoring.step()
        scored = rounds.told[-1].scored
        assert scored is not None
        assert (scored.summary.frequency, scored.known_until) == (purchases, now - days_ago * DAY)
