"""Texts over gRPC: what people sent, and what somebody has to look at because it may be a refusal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rapport.notification.v1 import feedback_pb2
from rapport_chassis.once import Once
from rapport_chassis.paging import cursor_of, next_page_token

from rapport_notification.app.people import LedgerPeople
from rapport_notification.app.replying import TakeReply, Text
from rapport_notification.domain.errors import ERRORS
from rapport_notification.entrypoints.edge_ports import EdgeStore, EdgeUnit
from rapport_notification.sending.sms import Reply

_MEANINGS: Final = {
    Reply.STOP: feedback_pb2.TEXT_MEANING_STOP,
    Reply.START: feedback_pb2.TEXT_MEANING_START,
    Reply.HELP: feedback_pb2.TEXT_MEANING_HELP,
    Reply.REVIEW: feedback_pb2.TEXT_MEANING_REVIEW,
    Reply.OTHER: feedback_pb2.TEXT_MEANING_UNSPECIFIED,
}
_PAGE: Final = 50
_MOST: Final = 500
_OLDEST: Final = (-1, "")


@dataclass(frozen=True)
class TextDesk:
    """Answers for texts.

    Attributes:
        once: Takes changes, each in a transaction, once.
        store: Opens transactions.
        replies: Takes answers to texts.
        people: Who is whose.
    """

    once: Once[EdgeUnit]
    store: EdgeStore
    replies: TakeReply
    people: LedgerPeople

    async def receive(self, request: feedback_pb2.ReceiveTextRequest) -> feedback_pb2.ReceiveTextResponse:
        """Take a text message that a person sent."""

        async def taken(unit: EdgeUnit) -> feedback_pb2.ReceiveTextResponse:
            meaning = await self.replies.take(unit, request.from_number, request.text, request.brand_id)
            return feedback_pb2.ReceiveTextResponse(meaning=_MEANINGS[meaning])

        return await self.once.run(request, feedback_pb2.ReceiveTextResponse, taken, target="text")

    async def page(self, request: feedback_pb2.ListTextReviewsRequest) -> feedback_pb2.ListTextReviewsResponse:
        """List texts that may be a refusal."""
        size = min(request.page_size or _PAGE, _MOST)
        cursor = cursor_of(request, request.page_token)
        after = (int(cursor[0]), str(cursor[1])) if cursor else _OLDEST
        async with self.store.unit() as unit:
            found = await unit.texts.reviews(after, size + 1)
        answer = feedback_pb2.ListTextReviewsResponse(reviews=[self._message(each) for each in found[:size]])
        if len(found) > size:
            last = found[size - 1]
            answer.next_page_token = next_page_token(request, (last.received_us, last.text_id))
        return answer

    async def decide(self, request: feedback_pb2.DecideTextReviewRequest) -> feedback_pb2.DecideTextReviewResponse:
        """Take what somebody who looked has found."""

        async def decided(unit: EdgeUnit) -> feedback_pb2.DecideTextReviewResponse:
            text = await unit.texts.reviewed(request.review_id)
            if text is None:
                raise ERRORS.error("REVIEW_NOT_FOUND", "there is no such review", field="review_id")
            if request.verdict != feedback_pb2.TEXT_VERDICT_REFUSAL:
                await self.replies.is_no_refusal(unit, text)
            elif (left := await self.replies.stop(unit, text)).unknown:
                await unit.texts.add(left._replace(said=""))
            return feedback_pb2.DecideTextReviewResponse()

        return await self.once.run(
            request, feedback_pb2.DecideTextReviewResponse, decided, target=request.review_id, reason=request.reason
        )

    def _message(self, text: Text) -> feedback_pb2.TextReview:
        message = feedback_pb2.TextReview(
            review_id=text.text_id,
            text=text.said,
            profile_id=self.people.current(text.profile_id) if text.profile_id else "",
            notification_id=text.notification_id,
            brand_id=text.brand_id,
        )
        message.received_at.FromMicroseconds(text.received_us)
        return message
