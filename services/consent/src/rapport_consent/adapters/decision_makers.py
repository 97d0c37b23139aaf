"""The services that decide about people: churn scores them, pricing quotes them prices."""

from __future__ import annotations

from typing import Final
from uuid import NAMESPACE_URL, uuid5

from rapport.churn.v1 import churn_pb2, churn_pb2_grpc, score_pb2
from rapport.pricing.v1 import pricing_pb2, pricing_pb2_grpc
from rapport_chassis.errors import RapportError

from rapport_consent.adapters.peers import Peers
from rapport_consent.domain.contested import ContestedDecision, DecisionReview

_CHURN: Final = "churn"
_PRICING: Final = "pricing"
_SCORE_ANSWERED: Final = {score_pb2.REVIEW_STATE_CONFIRMED: False, score_pb2.REVIEW_STATE_SET_ASIDE: True}
_PRICE_ANSWERED: Final = {
    pricing_pb2.PRICE_REVIEW_STATE_CONFIRMED: False,
    pricing_pb2.PRICE_REVIEW_STATE_SET_ASIDE: True,
}


class DecisionMakers:
    """Asks them about decisions.

    Args:
        peers: Where they are.
    """

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def find(self, decision_id: str) -> ContestedDecision | None:
        """Return a decision; None if nobody who can be asked made it, or it is too old to be explained.

        Raises:
            RapportError: One of them cannot be asked now.
        """
        for maker, explain in ((_CHURN, self._score), (_PRICING, self._quote)):
            if maker not in self._peers:
                continue
            try:
                return await explain(decision_id)
            except RapportError as error:
                if error.reason.code != "NOT_FOUND":
                    raise
        return None

    async def ask_review(self, decision: ContestedDecision, request_id: str) -> DecisionReview:
        """Ask for a human's review of a decision; repeated for the same request it is one review.

        Raises:
            RapportError: Who made it cannot be asked now.
        """
        once = str(uuid5(NAMESPACE_URL, f"{request_id}/review/{decision.id}"))
        if decision.maker == _CHURN:
            return _score_review(
                await self._churn.RequestReview(
                    score_pb2.RequestReviewRequest(
                        request_id=once, decision_id=decision.id, ground=score_pb2.REVIEW_GROUND_HUMAN_DECISION
                    )
                )
            )
        return _price_review(
            await self._pricing.RequestReview(
                pricing_pb2.RequestReviewRequest(
                    request_id=once, decision_id=decision.id, ground=pricing_pb2.PRICE_REVIEW_GROUND_HUMAN_DECISION
                )
            )
        )

    async def _score(self, decision_id: str) -> ContestedDecision:
        told = await self._churn.ExplainScore(churn_pb2.ExplainScoreRequest(decision_id=decision_id))
        reviews = tuple(map(_score_review, told.reviews))
        return ContestedDecision(_CHURN, decision_id, told.score.profile_id, reviews)

    async def _quote(self, decision_id: str) -> ContestedDecision:
        told = await self._pricing.ExplainQuote(pricing_pb2.ExplainQuoteRequest(decision_id=decision_id))
        reviews = tuple(map(_price_review, told.reviews))
        return ContestedDecision(_PRICING, decision_id, told.quote.profile_id, reviews)

    @property
    def _churn(self) -> churn_pb2_grpc.ChurnServiceAsyncStub:
        return self._peers.stub(_CHURN, churn_pb2_grpc.ChurnServiceStub)

    @property
    def _pricing(self) -> pricing_pb2_grpc.PricingServiceAsyncStub:
        return self._peers.stub(_PRICING, pricing_pb2_grpc.PricingServiceStub)


def _score_review(review: score_pb2.Review) -> DecisionReview:
    return DecisionReview(review.review_id, _SCORE_ANSWERED.get(review.state), review.decided_by)


def _price_review(review: pricing_pb2.PriceReview) -> DecisionReview:
    return DecisionReview(review.review_id, _PRICE_ANSWERED.get(review.state), review.decided_by)
