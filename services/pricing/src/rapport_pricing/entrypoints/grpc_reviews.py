"""Reviews of decisions over gRPC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rapport.pricing.v1 import pricing_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.once import Once, actor
from rapport_chassis.paging import cursor_of, next_page_token
from rapport_chassis.rpc.pipeline import ServicerContext as Context

from rapport_pricing.app.times import micros_of, moment_of
from rapport_pricing.entrypoints.grpc_quotes import kept_decision
from rapport_pricing.entrypoints.ports import Journal, Store, Unit
from rapport_pricing.translate.reviews import review_message

PAGE: Final = 50
MOST: Final = 500


@dataclass(frozen=True)
class ReviewDesk:
    """Answers for reviews.

    Attributes:
        once: Takes changes, each in a transaction, once.
        store: Opens transactions.
        journal: Keeps decisions.
        clock: The time.
    """

    once: Once[Unit]
    store: Store
    journal: Journal
    clock: Clock

    async def RequestReview(
        self, request: pricing_pb2.RequestReviewRequest, context: Context
    ) -> pricing_pb2.PriceReview:
        """Ask a human to look at a decision."""
        kept = await kept_decision(self.journal, request.decision_id)

        async def asked(unit: Unit) -> pricing_pb2.PriceReview:
            now = self.clock.now()
            return review_message(await unit.reviews.request(kept.decision_id, kept.profile_id, request.ground, now))

        return await self.once.run(request, pricing_pb2.PriceReview, asked, target=request.decision_id)

    async def ListReviews(
        self, request: pricing_pb2.ListReviewsRequest, context: Context
    ) -> pricing_pb2.ListReviewsResponse:
        """List reviews, oldest first."""
        size = min(request.page_size or PAGE, MOST)
        cursor = cursor_of(request, request.page_token)
        after: tuple[datetime, str] | None = (moment_of(int(cursor[0])), str(cursor[1])) if cursor else None
        async with self.store.unit() as unit:
            found = await unit.reviews.page(after, size + 1, decided=request.include_decided)
        page = found[:size]
        token = ""
        if len(found) > size:
            token = next_page_token(request, (micros_of(page[-1].requested_at), page[-1].review_id))
        return pricing_pb2.ListReviewsResponse(reviews=map(review_message, page), next_page_token=token)

    async def DecideReview(self, request: pricing_pb2.DecideReviewRequest, context: Context) -> pricing_pb2.PriceReview:
        """Answer a review."""
        by = actor()

        async def answered(unit: Unit) -> pricing_pb2.PriceReview:
            review = await unit.reviews.decide(
                request.review_id,
                confirmed=request.confirmed,
                actor=by,
                reason=request.reason,
                now=self.clock.now(),
            )
            return review_message(review)

        return await self.once.run(
            request, pricing_pb2.PriceReview, answered, target=request.review_id, reason=request.reason
        )
