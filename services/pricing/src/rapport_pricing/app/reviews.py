"""Reviews: a human looks at a decision."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from rapport_chassis.ids import new_id

from rapport_pricing.domain.errors import ERRORS


class ReviewState(StrEnum):
    """Where a review stands."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    SET_ASIDE = "set_aside"


class Review(NamedTuple):
    """A review.

    Attributes:
        review_id: Its id.
        decision_id: The decision.
        profile_id: Whose decision it is; empty if the person was erased.
        ground: Why it was asked for, by the contract's number.
        state: Where it stands.
        requested_at: When it was asked for.
        decided_at: When it was answered; None while it is open.
        decided_by: Subject of the operator who answered.
        reason: Why, as a code of the operator's own.
    """

    review_id: str
    decision_id: str
    profile_id: str
    ground: int
    state: ReviewState
    requested_at: datetime
    decided_at: datetime | None = None
    decided_by: str = ""
    reason: str = ""


Place = tuple[datetime, str]
"""Where a page begins: after the review that was asked for then."""


class Reviews(Protocol):
    """Reviews, in a transaction."""

    async def add(self, review: Review) -> None:
        """Keep a new one."""
        ...

    async def find(self, review_id: str) -> Review | None:
        """Return one, held until the transaction ends; None if there is none."""
        ...

    async def decide(self, review: Review) -> None:
        """Keep how one was answered."""
        ...

    async def of(self, decision_id: str) -> Sequence[Review]:
        """Return those of a decision, oldest first."""
        ...

    async def page(self, after: Place | None, limit: int, *, decided: bool) -> Sequence[Review]:
        """Return open reviews, oldest first, and with `decided` the others too."""
        ...


async def request_review(reviews: Reviews, decision_id: str, profile_id: str, ground: int, now: datetime) -> Review:
    """Ask a human to look at a decision."""
    review = Review(new_id("review"), decision_id, profile_id, ground, ReviewState.OPEN, now)
    await reviews.add(review)
    return review


async def decide_review(
    reviews: Reviews, review_id: str, *, confirmed: bool, actor: str, reason: str, now: datetime
) -> Review:
    """Answer a review.

    Raises:
        RapportError: REVIEW_NOT_FOUND, REVIEW_DECIDED.
    """
    review = await reviews.find(review_id)
    if review is None:
        raise ERRORS.error("REVIEW_NOT_FOUND", "there is no such review", field="review_id")
    if review.state is not ReviewState.OPEN:
        raise ERRORS.error("REVIEW_DECIDED", "the review is answered", field="review_id")
    state = ReviewState.CONFIRMED if confirmed else ReviewState.SET_ASIDE
    decided = review._replace(state=state, decided_at=now, decided_by=actor, reason=reason)
    await reviews.decide(decided)
    return decided
