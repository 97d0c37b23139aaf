"""Use case: score customers when something new is heard of them, and when time has passed; tell what has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, NamedTuple, Protocol

from rapport_chassis.errors import RapportError
from rapport_privacy.decision import Decision
from rapport_privacy.vocabulary import Answer

from rapport_churn.app.scores import Asked, Scored, ScoreProfiles
from rapport_churn.domain.risk import RiskLevel, RiskPolicy
from rapport_churn.domain.state import ProfileState

AT_ONCE: Final = 50
"""Customers that are scored together: others wait for the rows of these as long."""

_UNSURE: Final = timedelta(seconds=5)
_DENIED: Final = timedelta(minutes=10)


class Told(NamedTuple):
    """What was last told of a customer.

    Attributes:
        profile_id: Whom it is about.
        version: Of the score.
        risk_version: Of the risk.
        risk: The level that was raised and not cleared.
        churn: Chance of churn within the horizon; None while nothing is said.
        segment: Segment.
        tier: Tier.
        model_id: The model that said it.
    """

    profile_id: str
    version: int
    risk_version: int
    risk: RiskLevel
    churn: float | None
    segment: str
    tier: str
    model_id: str


class Clearance(Enum):
    """Why a risk ended."""

    RECOVERED = "recovered"
    CHURNED = "churned"
    OUT_OF_POPULATION = "out_of_population"


@dataclass(frozen=True, slots=True)
class Telling:
    """What becomes of what was told.

    Attributes:
        told: What was told before.
        at: When it becomes so.
        rescore_at: When the customer is looked at again; None: when something is heard.
        scored: The score that is told from now on; None if what was told stays.
        material: Whether it is told as a change.
        risk: Level from now on.
        clearance: Why the risk that was raised has ended; None if it has not.
        void: Whether nothing is said any more.
        shadow: What the challenger says where a score is told: kept, to be held against it, without any effect.
    """

    told: Told
    at: datetime
    rescore_at: datetime | None
    scored: Scored | None = None
    material: bool = False
    risk: RiskLevel = RiskLevel.NONE
    clearance: Clearance | None = None
    void: bool = False
    shadow: Scored | None = None

    @property
    def raised(self) -> bool:
        """Whether a risk is raised, or is of another level now."""
        return self.risk is not RiskLevel.NONE and self.risk is not self.told.risk


class Round(Protocol):
    """A transaction on rows that are due, which are held by it."""

    @property
    def due(self) -> Sequence[Told]:
        """Customers that are due."""
        ...

    async def tell(self, tellings: Sequence[Telling]) -> None:
        """Write what becomes of them, with the events that tell of it."""
        ...

    async def turn_to(self, profile_ids: Sequence[str], now: datetime) -> None:
        """Have others scored at the next round."""
        ...


class Rounds(Protocol):
    """Where what was told is kept."""

    async def hear(self, now: datetime) -> bool:
        """Have those scored of whom something new was entered into the log; return whether there was anything.

        Raises:
            RapportError: NOT_READY.
        """
        ...

    def round(self, model_id: str, now: datetime, limit: int) -> AbstractAsyncContextManager[Round]:
        """Give some who are due, or whose score is another model's."""
        ...


class Rescoring:
    """Scores customers without being asked.

    Args:
        score: Scores.
        rounds: Where what was told is kept.
        policy: When a risk is raised, and what is material.
        every: How old a score grows.
    """

    def __init__(self, score: ScoreProfiles, rounds: Rounds, policy: RiskPolicy, *, every: timedelta) -> None:
        self._score = score
        self._rounds = rounds
        self._policy = policy
        self._every = every

    async def step(self) -> bool:
        """Score some customers; return whether there was anything to do.

        Raises:
            RapportError: NOT_READY.
        """
        now = self._score.clock.now()
        heard = await self._rounds.hear(now)
        serving = self._score.models.champion
        if serving is None:
            return heard
        async with self._rounds.round(serving.model_id, now, AT_ONCE) as held:
            survivors: list[str] = []
            tellings: list[Telling] = []
            if held.due:
                # What was heard must be in what is scored, also if it was another process, or an earlier life, that
                # heard it.
                await self._score.states.catch_up()
            for told in held.due:
                tellings.append(await self._look(told, now, serving.model_id, survivors))
                await asyncio.sleep(0)  # whoever asks for a score is answered in between
            await held.tell(tellings)
            if survivors:
                await held.turn_to(survivors, now)
        return heard or bool(tellings)

    async def _look(self, told: Told, now: datetime, model_id: str, survivors: list[str]) -> Telling:
        asked = Asked(told.profile_id)
        permission = self._score.check(asked)
        if permission.answer == Answer.DENY_STALE:
            return _unchanged(told, now, now + _UNSURE)
        if not permission.permitted:
            # Whoever looks after withdrawals takes back what was told, and has whoever is permitted scored again.
            return _unchanged(told, now, None if told.churn is None else now + _DENIED)
        if permission.profile_id != told.profile_id:
            survivors.append(permission.profile_id)
            clearance = Clearance.OUT_OF_POPULATION if told.risk else None
            return Telling(told, now, None, clearance=clearance, void=True)
        state = await self._score.states.get(self._score.people.ids_of(permission.profile_id))
        permission = self._score.check(asked)
        if not permission.permitted or permission.profile_id != told.profile_id:
            return _unchanged(told, now, now)
        try:
            scored = self._score.of(state, permission)
        except RapportError as refused:
            if refused.reason.name == "OUT_OF_POPULATION":
                # By the same model a customer leaves the population by buying nothing for too long.
                left = told.model_id == model_id
                return self._out(told, now, Clearance.CHURNED if left else Clearance.OUT_OF_POPULATION)
            if refused.reason.name == "NOTHING_KNOWN":
                return Telling(told, now, None, void=True, clearance=Clearance.OUT_OF_POPULATION if told.risk else None)
            raise
        telling = self.judge(told, scored, now)
        return replace(telling, shadow=self._shadow(state, permission)) if telling.scored is not None else telling

    def _shadow(self, state: ProfileState, permission: Decision) -> Scored | None:
        challenger, champion = self._score.models.challenger, self._score.models.champion
        if challenger is None or champion is None or challenger.model_id == champion.model_id:
            return None
        try:
            return self._score.by(challenger, state, permission)
        except RapportError:
            return None  # it does not speak of such customers

    def judge(self, told: Told, scored: Scored, now: datetime) -> Telling:
        """Return what becomes of what was told, by a new score."""
        score = scored.score
        churn = score.churn[scored.serving.scoring.horizon_days]
        risk = self._policy.level(churn, told.risk)
        before = (told.segment, told.tier, told.model_id)
        differs = before != (score.segment, score.tier, scored.serving.model_id)
        material = differs or self._policy.is_material(churn, told.churn)
        clearance = Clearance.RECOVERED if told.risk and not risk else None
        is_told = material or clearance is not None or risk is not told.risk
        return Telling(told, now, now + self._every, scored if is_told else None, material, risk, clearance)

    def _out(self, told: Told, now: datetime, clearance: Clearance) -> Telling:
        return Telling(told, now, now + self._every, clearance=clearance if told.risk else None, void=True)


def _unchanged(told: Told, now: datetime, rescore_at: datetime | None) -> Telling:
    return Telling(told, now, rescore_at, risk=told.risk)
