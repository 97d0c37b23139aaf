"""Decisions of a small participant that somebody may contest: a note whose words are the id of a decision is one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from rapport.churn.v1 import churn_pb2, churn_pb2_grpc, score_pb2
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import ErrorTable, Reason
from rapport_chassis.once import actor
from rapport_privacy.reviews import Review, Reviews, ReviewState

_ERRORS: Final = ErrorTable(
    "scores.rapport",
    [
        Reason("DECISION_NOT_FOUND", "NOT_FOUND", False, "There is no such score."),
        Reason("REVIEW_NOT_FOUND", "NOT_FOUND", False, "There is no such review."),
        Reason("REVIEW_DECIDED", "FAILED_PRECONDITION", False, "The review is answered."),
    ],
)
_STATES: Final = {
    ReviewState.OPEN: score_pb2.REVIEW_STATE_OPEN,
    ReviewState.CONFIRMED: score_pb2.REVIEW_STATE_CONFIRMED,
    ReviewState.SET_ASIDE: score_pb2.REVIEW_STATE_SET_ASIDE,
}


class Scores(churn_pb2_grpc.ChurnServiceServicer):
    """Explains decisions, and has humans look at them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ExplainScore(self, request: churn_pb2.ExplainScoreRequest, context: Any) -> score_pb2.ScoreExplanation:
        """Tell whom a decision is about, and its reviews."""
        async with self._database.transaction() as connection:
            profile_id = await _whose(connection, request.decision_id)
            reviews = await Reviews(connection, _ERRORS).of(request.decision_id)
        told = score_pb2.ScoreExplanation(reviews=map(_message, reviews))
        told.score.profile_id = profile_id
        return told

    async def RequestReview(self, request: score_pb2.RequestReviewRequest, context: Any) -> score_pb2.Review:
        """Enter a review."""
        async with self._database.transaction() as connection:
            profile_id = await _whose(connection, request.decision_id)
            reviews = Reviews(connection, _ERRORS)
            made = await reviews.request(request.decision_id, profile_id, request.ground, datetime.now(UTC))
        return _message(made)

    async def DecideReview(self, request: score_pb2.DecideReviewRequest, context: Any) -> score_pb2.Review:
        """Answer a review."""
        async with self._database.transaction() as connection:
            decided = await Reviews(connection, _ERRORS).decide(
                request.review_id,
                confirmed=request.confirmed,
                actor=actor(),
                reason=request.reason,
                now=datetime.now(UTC),
            )
        return _message(decided)


async def _whose(connection: Connection, decision_id: str) -> str:
    query = "SELECT profile_id FROM notes WHERE words = %s"
    row = await (await connection.execute(query, [decision_id])).fetchone()
    if row is None:
        raise _ERRORS.error("DECISION_NOT_FOUND", "there is no such score", field="decision_id")
    return str(row[0])


def _message(review: Review) -> score_pb2.Review:
    return score_pb2.Review(
        review_id=review.review_id,
        decision_id=review.decision_id,
        profile_id=review.profile_id,
        state=_STATES[review.state],
        decided_by=review.decided_by,
    )
