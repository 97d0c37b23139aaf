"""A decision that somebody contests, and the reviews that people make of it: where it was made, not here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DecisionReview:
    """A human's look at a decision.

    Attributes:
        id: The review.
        changed: Whether the decision was set aside, or stands; None while nobody has answered.
        reviewer: Subject of the operator who answered.
    """

    id: str
    changed: bool | None = None
    reviewer: str = ""


@dataclass(frozen=True, slots=True)
class ContestedDecision:
    """A decision, as who made it tells of it.

    Attributes:
        maker: The service that made it.
        id: The decision.
        profile_id: Whom it was about; empty for nobody in particular.
        reviews: Those asked for so far.
    """

    maker: str
    id: str
    profile_id: str
    reviews: tuple[DecisionReview, ...] = ()

    def review(self, review_id: str) -> DecisionReview | None:
        """Return one of its reviews."""
        return next((each for each in self.reviews if each.id == review_id), None)
