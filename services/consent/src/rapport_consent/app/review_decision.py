"""Use case: have whoever made a contested decision review it, and take over what came of that.

A decision that nobody can be asked about, or that was about somebody else, is for officers to review.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from rapport_chassis.clock import Clock
from rapport_chassis.failpoints import failpoint

from rapport_consent.app.request_peers import DecisionMakers
from rapport_consent.app.request_ports import RequestStore, RequestUnit
from rapport_consent.app.turn import go_on, wait
from rapport_consent.domain.contested import DecisionReview
from rapport_consent.domain.request_decisions import prepared_by
from rapport_consent.domain.request_rules import await_review, conclude
from rapport_consent.domain.request_stages import Stage
from rapport_consent.domain.request_words import Outcome, RequestState, RightState
from rapport_consent.domain.requests import Request
from rapport_consent.domain.rule_packs import Right

_LOOK_AGAIN: Final = timedelta(seconds=10)
"""How often it is asked whether a review was answered: people take hours over one."""

_SAME_ACTOR: Final = "SAME_ACTOR"


@dataclass(frozen=True)
class DecisionReviewing:
    """Has decisions reviewed.

    Attributes:
        store: Opens transactions.
        makers: Who decides about people.
        clock: The time.
    """

    store: RequestStore
    makers: DecisionMakers
    clock: Clock

    async def step(self, request: Request) -> None:
        """Ask for a review, or look what became of it, and end the turn.

        Raises:
            RapportError: Who made the decision cannot be asked now.
        """
        review = await self._review(request)
        failpoint("request.reviewed")
        async with self.store.unit() as unit:
            held, now = await unit.requests.hold(request.id), self.clock.now()
            if held.stage != Stage.REVIEW.value or held.state is not RequestState.RUNNING:
                return
            if review is not None:
                held = await _taken_over(unit, held, review)
            if not held.in_review:
                await go_on(unit, held, Stage.REVIEW, now)
            elif held.stuck == _SAME_ACTOR:
                await unit.requests.save(held, None)
            else:
                await wait(unit, held, now + _LOOK_AGAIN if review is not None else None)

    async def _review(self, request: Request) -> DecisionReview | None:
        contested = request.of(Right.CONTEST)
        if contested is None or contested.state is not RightState.APPROVED:
            return None
        decision = await self.makers.find(contested.decision_id)
        if decision is None or decision.profile_id not in request.known_ids:
            return None
        return decision.review(contested.review_id) or await self.makers.ask_review(decision, request.id)


async def _taken_over(unit: RequestUnit, request: Request, review: DecisionReview) -> Request:
    """Return the request with what is known of its review; an officer may have decided meanwhile."""
    contested = request.of(Right.CONTEST)
    if contested is None or contested.state is not RightState.APPROVED:
        return request
    if contested.review_id != review.id:
        await unit.log(request, "REVIEW_ASKED", f"{request.id}/review/{review.id}", {"review_id": review.id})
        request = await_review(request, review.id)
    if review.changed is None:
        return request
    if review.reviewer in prepared_by(request):
        return replace(request, stuck=_SAME_ACTOR)
    outcome = Outcome.CHANGED if review.changed else Outcome.UPHELD
    await unit.log(request, "REVIEWED", f"{request.id}/reviewed/{Right.CONTEST}", {"outcome": outcome.value})
    return conclude(request, Right.CONTEST, outcome, reviewer=review.reviewer)
