"""rapport.churn.v1.ChurnService over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from google.rpc import code_pb2, status_pb2
from rapport.churn.v1 import churn_pb2, churn_pb2_grpc, score_pb2
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import RapportError
from rapport_chassis.once import Once, actor
from rapport_chassis.paging import cursor_of, next_page_token
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.rpc.status import encode
from rapport_chassis.times import moment
from rapport_privacy.reviews import Reviews

from rapport_churn.app.people import is_erased
from rapport_churn.app.ports import Order
from rapport_churn.app.scores import Asked, Kept, ScoreProfiles
from rapport_churn.app.times import micros_of, moment_of
from rapport_churn.domain.errors import ERRORS
from rapport_churn.domain.features import FeatureSet
from rapport_churn.entrypoints.ports import Journal, RankReader, Transactions
from rapport_churn.translate.ranks import ranked_message, review_message
from rapport_churn.translate.scores import Scores, asked_of, explanation_of, features_of, kept_of

PAGE: Final = 50
MOST: Final = 500
"""Entries of a page, if the caller says nothing and at most."""

_OK: Final = status_pb2.Status(code=code_pb2.OK)
_AT_ONCE: Final = 16
_ORDERS: Final = {
    churn_pb2.RANK_ORDER_UNSPECIFIED: Order.CHURN,
    churn_pb2.RANK_ORDER_CHURN: Order.CHURN,
    churn_pb2.RANK_ORDER_VALUE: Order.VALUE,
    churn_pb2.RANK_ORDER_VALUE_AT_RISK: Order.AT_STAKE,
}


@dataclass(frozen=True)
class ChurnServicer(churn_pb2_grpc.ChurnServiceServicer):
    """Scores, and what explains them.

    Attributes:
        score: Scores customers.
        scores: Makes messages of scores.
        features: The features that models are given.
        journal: Keeps decisions.
        ranks: Reads customers in order.
        once: Takes changes, each in a transaction, once.
        database: Where reviews are read.
        reviews: Gives the reviews in a transaction.
    """

    score: ScoreProfiles
    scores: Scores
    features: FeatureSet
    journal: Journal
    ranks: RankReader
    once: Once[Connection]
    database: Transactions
    reviews: Callable[[Connection], Reviews]

    async def ScoreProfile(self, request: churn_pb2.ScoreProfileRequest, context: Context) -> score_pb2.Score:
        """Score a customer and say why."""
        return await self._scored(asked_of(request))

    async def BatchScoreProfiles(
        self, request: churn_pb2.BatchScoreProfilesRequest, context: Context
    ) -> churn_pb2.BatchScoreProfilesResponse:
        """Score many customers, each judged by itself."""
        at_least = request.at_least if request.HasField("at_least") else None
        asked = [Asked(each, request.brand_id, request.market, at_least) for each in request.profile_ids]
        results: list[churn_pb2.BatchScoreProfilesResult] = []
        for first in range(0, len(asked), _AT_ONCE):
            results += await asyncio.gather(*(self._result(each) for each in asked[first : first + _AT_ONCE]))
            await asyncio.sleep(0)  # others are answered in between
        return churn_pb2.BatchScoreProfilesResponse(results=results)

    async def ExplainScore(
        self, request: churn_pb2.ExplainScoreRequest, context: Context
    ) -> score_pb2.ScoreExplanation:
        """Return a score as it was given, and what it was made of."""
        kept = await self._kept(request.decision_id)
        async with self.database.transaction() as connection:
            reviews = await self.reviews(connection).of(request.decision_id)
        message = explanation_of(kept, self.features, [review_message(each) for each in reviews])
        message.score.profile_id = self.score.check(Asked(kept.profile_id)).profile_id
        return message

    async def RequestReview(self, request: score_pb2.RequestReviewRequest, context: Context) -> score_pb2.Review:
        """Ask a human to look at a score."""
        kept = await self._kept(request.decision_id)

        async def effect(connection: Connection) -> score_pb2.Review:
            reviews, now = self.reviews(connection), self.score.clock.now()
            return review_message(await reviews.request(kept.decision_id, kept.profile_id, request.ground, now))

        return await self.once.run(request, score_pb2.Review, effect, target=request.decision_id)

    async def ListReviews(
        self, request: score_pb2.ListReviewsRequest, context: Context
    ) -> score_pb2.ListReviewsResponse:
        """List reviews, oldest first."""
        size = min(request.page_size or PAGE, MOST)
        cursor = cursor_of(request, request.page_token)
        after = (moment_of(int(cursor[0])), str(cursor[1])) if cursor else None
        async with self.database.transaction() as connection:
            found = await self.reviews(connection).page(after, size + 1, decided=request.include_decided)
        token = ""
        if len(found) > size:
            last = found[size - 1]
            token = next_page_token(request, (micros_of(last.requested_at), last.review_id))
        return score_pb2.ListReviewsResponse(reviews=map(review_message, found[:size]), next_page_token=token)

    async def DecideReview(self, request: score_pb2.DecideReviewRequest, context: Context) -> score_pb2.Review:
        """Answer a review."""

        async def effect(connection: Connection) -> score_pb2.Review:
            decided = await self.reviews(connection).decide(
                request.review_id,
                confirmed=request.confirmed,
                actor=actor(),
                reason=request.reason,
                now=self.score.clock.now(),
            )
            return review_message(decided)

        return await self.once.run(request, score_pb2.Review, effect, target=request.review_id, reason=request.reason)

    async def GetFeatures(self, request: churn_pb2.GetFeaturesRequest, context: Context) -> score_pb2.FeatureVector:
        """Return the features of a customer, also as of a time."""
        permission = self.score.permit(asked_of(request))
        state = await self.score.states.get(self.score.people.ids_of(permission.profile_id))
        if not len(state):
            raise ERRORS.error("NOTHING_KNOWN", "no event of the profile is held")
        at = moment(request.as_of) if request.HasField("as_of") else permission.as_of
        instant = micros_of(at)
        known = state.known(instant if request.HasField("as_of") else max(instant, state.known_until))
        message = score_pb2.FeatureVector(
            profile_id=permission.profile_id,
            feature_set_sha256=bytes.fromhex(self.features.digest),
            features=features_of(self.features, known.vector(instant, known.known_until)),
            events=len(known),
        )
        message.as_of.FromMicroseconds(instant)
        return message

    async def RankProfiles(
        self, request: churn_pb2.RankProfilesRequest, context: Context
    ) -> churn_pb2.RankProfilesResponse:
        """List customers in order of risk or value, less those who may not be profiled at this moment."""
        size = min(request.page_size or PAGE, MOST)
        cursor = cursor_of(request, request.page_token)
        found = await self.ranks.page(
            _ORDERS[request.order],
            (float.fromhex(str(cursor[0])), str(cursor[1])) if cursor else None,
            size + 1,
            at_risk_only=request.at_risk_only,
            segment=request.segment,
        )
        token = ""
        if len(found) > size:
            last = found[size - 1]
            token = next_page_token(request, (last.figure.hex(), last.profile_id))
        permitted = [
            each
            for each in found[:size]
            if self.score.check(Asked(each.profile_id, request.brand_id, request.market)).permitted
        ]
        return churn_pb2.RankProfilesResponse(
            profiles=[ranked_message(each.body, each.risk) for each in permitted], next_page_token=token
        )

    async def _scored(self, asked: Asked) -> score_pb2.Score:
        scored = await self.score(asked)
        message = self.scores.message(scored)
        self.journal.add(kept_of(scored, message))
        return message

    async def _result(self, asked: Asked) -> churn_pb2.BatchScoreProfilesResult:
        try:
            return churn_pb2.BatchScoreProfilesResult(status=_OK, score=await self._scored(asked))
        except RapportError as error:
            return churn_pb2.BatchScoreProfilesResult(status=encode(error, ""))

    async def _kept(self, decision_id: str) -> Kept:
        kept = await self.journal.find(decision_id)
        if kept is None:
            raise ERRORS.error("DECISION_NOT_FOUND", "there is no such score", field="decision_id")
        if not kept.profile_id or is_erased(self.score.check(Asked(kept.profile_id))):
            raise ERRORS.error("PROFILE_ERASED", "the person was erased")
        return kept
