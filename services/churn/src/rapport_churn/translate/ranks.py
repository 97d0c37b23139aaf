"""Customers in order, and reviews, as messages of the contract."""

from __future__ import annotations

from typing import Final

from rapport.churn.v1 import churn_pb2, score_pb2
from rapport_chassis.times import set_stamp
from rapport_privacy.reviews import Review, ReviewState

_STATES: Final = {
    ReviewState.OPEN: score_pb2.REVIEW_STATE_OPEN,
    ReviewState.CONFIRMED: score_pb2.REVIEW_STATE_CONFIRMED,
    ReviewState.SET_ASIDE: score_pb2.REVIEW_STATE_SET_ASIDE,
}


def ranked_message(body: bytes, risk: int) -> churn_pb2.RankedProfile:
    """Return a customer in an order, from the score that is kept and the level of risk."""
    score = score_pb2.Score.FromString(body)
    return churn_pb2.RankedProfile(
        profile_id=score.profile_id,
        decision_id=score.decision_id,
        scored_at=score.scored_at,
        churn=next((each for each in score.churn if each.days == score.horizon_days), None),
        value=score.value if score.HasField("value") else None,
        risk=risk,  # type: ignore[arg-type] # the numbers are the contract's
        segment=score.segment,
        tier=score.tier,
        reason=score.reasons[0].code if score.reasons else "",
        held_out=score.held_out,
    )


def review_message(review: Review) -> score_pb2.Review:
    """Return a review as a message."""
    message = score_pb2.Review(
        review_id=review.review_id,
        decision_id=review.decision_id,
        profile_id=review.profile_id,
        state=_STATES[review.state],
        ground=review.ground,  # type: ignore[arg-type] # the numbers are the contract's
        decided_by=review.decided_by,
        reason=review.reason,
    )
    set_stamp(message.requested_at, review.requested_at)
    if review.decided_at is not None:
        set_stamp(message.decided_at, review.decided_at)
    return message
