"""Reviews of scores: what a human sets aside raises no risk."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rapport_chassis.database.pool import Connection
from rapport_chassis.events import outbox
from rapport_privacy.reviews import Review, Reviews, ReviewState

from rapport_churn.domain.errors import ERRORS
from rapport_churn.translate.events import RECOVERED, risk_cleared
from rapport_churn.translate.scores import decision_id_in

_SCORE: Final = "SELECT body, risk, risk_version FROM scores WHERE profile_id = %s FOR UPDATE"
_CLEAR: Final = "UPDATE scores SET risk = 0, risk_version = risk_version + 1 WHERE profile_id = %s"


class ScoreReviews(Reviews):
    """`Reviews` of scores.

    Args:
        connection: The transaction.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, ERRORS)

    async def decide(self, review_id: str, *, confirmed: bool, actor: str, reason: str, now: datetime) -> Review:
        """Answer a review, and clear a risk that rests on a score which is set aside.

        Raises:
            RapportError: REVIEW_NOT_FOUND, REVIEW_DECIDED.
        """
        review = await super().decide(review_id, confirmed=confirmed, actor=actor, reason=reason, now=now)
        if review.state is ReviewState.SET_ASIDE and review.profile_id:
            await self._clear(review.decision_id, review.profile_id, now)
        return review

    async def _clear(self, decision_id: str, profile_id: str, at: datetime) -> None:
        row = await (await self._connection.execute(_SCORE, [profile_id])).fetchone()
        if row is None or not row[1] or decision_id_in(bytes(row[0])) != decision_id:
            return
        await self._connection.execute(_CLEAR, [profile_id])
        await outbox.append(self._connection, [risk_cleared(profile_id, row[2] + 1, RECOVERED, at)])
