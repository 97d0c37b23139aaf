"""Use case: score a customer, if that is permitted at this instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from rapport_chassis.clock import Clock
from rapport_chassis.ids import new_id
from rapport_privacy.decision import Decision
from rapport_privacy.permits import Permits, Position

from rapport_churn.app.people import refuse
from rapport_churn.app.ports import HoldsOut, Models, People, Serving
from rapport_churn.app.states import States
from rapport_churn.app.times import micros_of
from rapport_churn.domain.errors import ERRORS
from rapport_churn.domain.features import Summary
from rapport_churn.domain.scoring import Score
from rapport_churn.domain.state import ProfileState


class Kept(NamedTuple):
    """A decision as it is kept, to be explained later.

    Attributes:
        decision_id: Its id.
        profile_id: Whom it is about; empty if the person was erased.
        scored_at: When it was made.
        body: The score as it was answered; empty if the person was erased.
        features: What the model was given: doubles, packed.
    """

    decision_id: str
    profile_id: str
    scored_at: datetime
    body: bytes
    features: bytes


class Asked(NamedTuple):
    """Whose score is asked for, and for which brand and market; the gate must know the ledger as far as is said."""

    profile_id: str
    brand_id: str = ""
    market: str = ""
    at_least: Position | None = None


class Scored(NamedTuple):
    """A score, with what it rests on.

    Attributes:
        decision_id: Explains it later.
        profile_id: The id that stands for the person now.
        serving: The model.
        at: When it was made.
        known_until: Microseconds of when the last event used had arrived; 0 if there is none.
        vector: What the model was given.
        summary: What it was given of the purchases.
        score: What it says.
        held_out: Whether nobody may treat the customer because of it.
        permission: The gate's answer.
    """

    decision_id: str
    profile_id: str
    serving: Serving
    at: datetime
    known_until: int
    vector: list[float]
    summary: Summary
    score: Score
    held_out: bool
    permission: Decision


@dataclass(frozen=True)
class ScoreProfiles:
    """Scores customers.

    Attributes:
        permits: The gate.
        people: Who is whose.
        states: What is known of customers.
        models: Who serves.
        holds_out: Says whom nobody may treat.
        clock: The time.
        purpose_id: The purpose of profiling.
        brand_id: The brand it is asked for where the caller names none; empty for all.
    """

    permits: Permits
    people: People
    states: States
    models: Models
    holds_out: HoldsOut
    clock: Clock
    purpose_id: str
    brand_id: str = ""

    async def __call__(self, asked: Asked) -> Scored:
        """Score a customer by the model that serves.

        Raises:
            RapportError: PROFILE_ERASED, PROFILING_DENIED, PERMISSION_UNKNOWN, NO_MODEL, NOTHING_KNOWN,
                OUT_OF_POPULATION, BRAND_REQUIRED, NOT_READY.
        """
        permission = self.permit(asked)
        state = self.states.hit(self.people.ids_of(permission.profile_id))
        while state is None:
            await self.states.get(self.people.ids_of(permission.profile_id))
            # That took a while: whoever withdrew meanwhile is not scored any more, and may be somebody else now.
            permission = self.permit(asked)
            state = self.states.hit(self.people.ids_of(permission.profile_id))
        return self.of(state, permission)

    def permit(self, asked: Asked) -> Decision:
        """Return the gate's answer at this instant, if it permits.

        Raises:
            RapportError: PROFILE_ERASED, PROFILING_DENIED, PERMISSION_UNKNOWN, BRAND_REQUIRED.
        """
        permission = self.check(asked)
        if not permission.permitted:
            refuse(permission)
        return permission

    def check(self, asked: Asked) -> Decision:
        """Return the gate's answer at this instant.

        Raises:
            RapportError: BRAND_REQUIRED.
        """
        brand_id = asked.brand_id or self.brand_id
        return self.permits.check(
            asked.profile_id, self.purpose_id, brand_id=brand_id, market=asked.market, at_least=asked.at_least
        )

    def everybody(self, profile_id: str) -> tuple[str, ...]:
        """Return every id that stands for the person for whom an id stands."""
        return self.people.ids_of(self.check(Asked(profile_id)).profile_id)

    def of(self, state: ProfileState, permission: Decision) -> Scored:
        """Score a customer whose state is known, and who may be scored, by the model that serves.

        Raises:
            RapportError: NO_MODEL, NOTHING_KNOWN, OUT_OF_POPULATION, NOT_READY.
        """
        serving = self.models.champion
        if serving is None:
            raise ERRORS.error("NO_MODEL", "no model serves yet")
        return self.by(serving, state, permission)

    def by(self, serving: Serving, state: ProfileState, permission: Decision) -> Scored:
        """Score such a customer by a model.

        Raises:
            RapportError: NOTHING_KNOWN, OUT_OF_POPULATION, NOT_READY.
        """
        if not len(state):
            raise ERRORS.error("NOTHING_KNOWN", "no event of the profile is held")
        at = permission.as_of
        instant = micros_of(at)
        # Another machine's clock may be ahead of this one's: what has arrived is known.
        known_at = max(instant, state.known_until)
        summary = state.summary(instant, known_at)
        if summary is None or not serving.scoring.population.admits(summary):
            raise ERRORS.error(
                "OUT_OF_POPULATION", "the model does not speak of such customers", metadata={"model": serving.model_id}
            )
        vector = state.vector(instant, known_at)
        return Scored(
            new_id("decision"),
            permission.profile_id,
            serving,
            at,
            state.known_until,
            vector,
            summary,
            serving.scoring.score(vector, summary),
            self.holds_out(permission.profile_id),
            permission,
        )
