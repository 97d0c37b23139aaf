"""Reviews as messages."""

from __future__ import annotations

from typing import Final

from rapport.pricing.v1 import pricing_pb2
from rapport_chassis.times import stamp
from rapport_privacy.reviews import Review, ReviewState

_STATES: Final = {
    ReviewState.OPEN: pricing_pb2.PRICE_REVIEW_STATE_OPEN,
    ReviewState.CONFIRMED: pricing_pb2.PRICE_REVIEW_STATE_CONFIRMED,
    ReviewState.SET_ASIDE: pricing_pb2.PRICE_REVIEW_STATE_SET_ASIDE,
}


def review_message(review: Review) -> pricing_pb2.PriceReview:
    """Return a review as a message."""
    return pricing_pb2.PriceReview(
        review_id=review.review_id,
        decision_id=review.decision_id,
        profile_id=review.profile_id,
        state=_STATES[review.state],
        ground=review.ground,  # type: ignore[arg-type] # the contract's numbers
        requested_at=stamp(review.requested_at),
        decided_at=stamp(review.decided_at) if review.decided_at is not None else None,
        decided_by=review.decided_by,
        reason=review.reason,
    )
