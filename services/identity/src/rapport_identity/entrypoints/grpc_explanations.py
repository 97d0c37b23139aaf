"""Explanations and reviews of IdentityService."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from rapport.identity.v1 import explanation_pb2, steward_pb2
from rapport_chassis.once import Once, actor
from rapport_chassis.paging import cursor_of, next_page_token
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.times import moment

from rapport_identity.app.explain import Explain
from rapport_identity.app.partition import Partition, Session
from rapport_identity.app.profiles import get_profile
from rapport_identity.app.reviews import Review, Reviews, decide_review
from rapport_identity.domain.records import RecordKey
from rapport_identity.entrypoints.grpc_records import MOST, PAGE
from rapport_identity.translate.answers import decision_message, key_of
from rapport_identity.translate.explanations import VERDICTS, match_message, profile_explanation, review_message


@dataclass(frozen=True)
class Explanations:
    """Says why, and asks stewards where it is not clear.

    Attributes:
        explain: Explains.
        reviews: The queue of reviews.
        once: Takes answers, each in a transaction, once.
        partition: What is explained.
    """

    explain: Explain
    reviews: Reviews
    once: Once[Session]
    partition: Partition

    async def ExplainMatch(
        self, request: explanation_pb2.ExplainMatchRequest, context: Context
    ) -> explanation_pb2.MatchExplanation:
        """Say why two records do or do not match."""
        found = await self.explain.match(key_of(request.first), key_of(request.second), request.matcher_id)
        return match_message(found)

    async def ExplainProfile(
        self, request: explanation_pb2.ExplainProfileRequest, context: Context
    ) -> explanation_pb2.ProfileExplanation:
        """Say how a profile came together."""
        at = moment(request.as_of) if request.HasField("as_of") else None
        return profile_explanation(await self.explain.profile(request.profile_id, at))

    async def ListReviews(
        self, request: steward_pb2.ListReviewsRequest, context: Context
    ) -> steward_pb2.ListReviewsResponse:
        """List open reviews by what their answers would teach, or answered ones."""
        size = min(request.page_size or PAGE, MOST)
        cursor = cursor_of(request, request.page_token)
        numbers = None
        await self.partition.refresh()
        if request.profile_id:
            numbers = (await get_profile(self.partition, request.profile_id)).numbers
        found = await self._page(numbers, cursor, size + 1, decided=request.decided)
        page = found[:size]
        token = ""
        if len(found) > size:
            last = page[-1]
            place = last.decided_at.isoformat() if last.decided_at else last.gain.hex()
            token = next_page_token(request, (place, last.review_id))
        shown = [await self._shown(each) for each in page]
        return steward_pb2.ListReviewsResponse(
            reviews=[each for each in shown if each is not None], next_page_token=token
        )

    async def DecideReview(
        self, request: steward_pb2.DecideReviewRequest, context: Context
    ) -> steward_pb2.ReviewDecision:
        """Answer a review."""

        async def effect(session: Session) -> steward_pb2.ReviewDecision:
            verdict = VERDICTS[request.verdict]
            review, decision = await decide_review(
                session, self.reviews, request.review_id, verdict, actor=actor(), reason=request.reason
            )
            index = session.replica.index
            keys = index[review.first].key, index[review.second].key
            owners = session.owner(review.first), session.owner(review.second)
            return steward_pb2.ReviewDecision(
                review=review_message(review, keys, owners, self.explain.decided(session, review.first, review.second)),
                decision=decision_message(decision, self._key) if decision is not None else None,
            )

        return await self.once.run(
            request, steward_pb2.ReviewDecision, effect, target=request.review_id, reason=request.reason
        )

    async def _page(
        self, numbers: Collection[int] | None, cursor: tuple[str | int, ...] | None, limit: int, *, decided: bool
    ) -> list[Review]:
        async with self.partition.units.unit() as unit:
            if decided:
                before = (datetime.fromisoformat(str(cursor[0])), str(cursor[1])) if cursor else None
                return await self.reviews.decided_page(unit, numbers, before, limit)
            after = (float.fromhex(str(cursor[0])), str(cursor[1])) if cursor else None
            return await self.reviews.open_page(unit, numbers, after, limit)

    async def _shown(self, review: Review) -> steward_pb2.Review | None:
        """Return a review as it stands; None if a record of it was erased."""
        found = await self.explain.reviewed(review.first, review.second)
        if found is None:
            return None
        explained, (one, other) = found
        owners = self.partition.replica.owners
        profile_ids = owners.get(one.number, ""), owners.get(other.number, "")
        return review_message(review, (one.key, other.key), profile_ids, explained)

    def _key(self, number: int) -> RecordKey | None:
        index = self.partition.replica.index
        return index[number].key if number in index else None
