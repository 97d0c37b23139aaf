"""rapport.notification.v1.FeedbackService over gRPC: what comes back; and the same from providers' signed calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from google.protobuf import json_format
from rapport.notification.v1 import feedback_pb2, feedback_pb2_grpc
from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.events.contract import validate
from rapport_chassis.once import Once
from rapport_chassis.rpc.pipeline import ServicerContext as Context

from rapport_notification.app.feedback import Reported, Result, TakeFeedback
from rapport_notification.app.replying import TakeReply
from rapport_notification.app.times import micros_of
from rapport_notification.domain.errors import ERRORS
from rapport_notification.domain.suppression import Feedback, Suppressed, address_hash
from rapport_notification.domain.vocabulary import Channel
from rapport_notification.entrypoints.edge_ports import EdgeStore, EdgeUnit
from rapport_notification.entrypoints.grpc_endpoints import EndpointDesk
from rapport_notification.entrypoints.grpc_texts import TextDesk
from rapport_notification.sending.bounces import Returned, read
from rapport_notification.translate.feedback import KINDS, NUMBERS, suppression_message

_NO_REQUEST: Final = "00000000-0000-4000-8000-000000000000"
"""A provider's call has no id of a request: what it says is known when it comes again."""


@dataclass(frozen=True)
class FeedbackDesk:
    """Takes what comes back, whoever hands it in.

    Attributes:
        store: Opens transactions.
        feedback: Takes bounces, complaints and reports.
        replies: Takes answers to texts.
        address_key: That addresses are hashed with.
        woken: Has texts answered at once.
        clock: The time.
    """

    store: EdgeStore
    feedback: TakeFeedback
    replies: TakeReply
    address_key: bytes
    woken: Callable[[], None]
    clock: Clock

    async def mail(self, mail: bytes) -> None:
        """Take a mail that came back, from a provider's call; what is known already changes nothing."""
        found = await read_mail(mail)
        async with self.store.unit() as unit:
            await self.feedback.returned(unit, found)
        self.wake()

    async def text(self, body: bytes, call_id: str) -> str:
        """Take an answer to a text message from a provider's call, and return what it means; "" if it came before.

        Raises:
            RapportError: CALL_MALFORMED.
        """
        request = feedback_pb2.ReceiveTextRequest(request_id=_NO_REQUEST)
        try:
            json_format.Parse(body, request)
            validate(request)
        except (json_format.ParseError, RapportError, UnicodeDecodeError) as error:
            raise ERRORS.error("CALL_MALFORMED", "the body is not what was agreed", field="body") from error
        async with self.store.unit() as unit:
            if not await unit.texts.heard(call_id):
                return ""
            meaning = await self.replies.take(unit, request.from_number, request.text, request.brand_id)
        self.wake()
        return meaning.value

    def wake(self) -> None:
        """Have the ledger told and texts answered at once."""
        self.feedback.unsubscribing.wake()
        self.woken()

    def hashed(self, channel: int, address: str) -> tuple[Channel, bytes]:
        """Return a channel, and what stands for an address on it."""
        named = Channel(channel)
        return named, address_hash(self.address_key, named, address)


@dataclass(frozen=True)
class FeedbackServicer(feedback_pb2_grpc.FeedbackServiceServicer):
    """Answers calls.

    Attributes:
        once: Takes changes, each in a transaction, once.
        desk: Takes what comes back.
        endpoints: Knows where browsers and systems listen.
        texts: Takes texts, and what was found in them.
    """

    once: Once[EdgeUnit]
    desk: FeedbackDesk
    endpoints: EndpointDesk
    texts: TextDesk

    async def ReportFeedback(
        self, request: feedback_pb2.ReportFeedbackRequest, context: Context
    ) -> feedback_pb2.FeedbackResult:
        """Take a bounce, a complaint or a provider's report."""
        mail = await read_mail(request.mail) if request.HasField("mail") else None

        async def taken(unit: EdgeUnit) -> feedback_pb2.FeedbackResult:
            if mail is not None:
                return _message(await self.desk.feedback.returned(unit, mail))
            said = request.report
            at_us = said.occurred_at.ToMicroseconds()
            report = Reported(said.notification_id, said.attempt, KINDS[said.kind], said.status_code, at_us)
            return _message(await self.desk.feedback.reported(unit, report))

        answer = await self.once.run(request, feedback_pb2.FeedbackResult, taken, target="feedback")
        self.desk.wake()
        return answer

    async def ReceiveText(
        self, request: feedback_pb2.ReceiveTextRequest, context: Context
    ) -> feedback_pb2.ReceiveTextResponse:
        """Take a text message that a person sent."""
        answer = await self.texts.receive(request)
        self.desk.wake()
        return answer

    async def ListTextReviews(
        self, request: feedback_pb2.ListTextReviewsRequest, context: Context
    ) -> feedback_pb2.ListTextReviewsResponse:
        """List texts that may be a refusal."""
        return await self.texts.page(request)

    async def DecideTextReview(
        self, request: feedback_pb2.DecideTextReviewRequest, context: Context
    ) -> feedback_pb2.DecideTextReviewResponse:
        """Take what somebody who looked at a text has found."""
        answer = await self.texts.decide(request)
        self.desk.wake()
        return answer

    async def GetSuppression(
        self, request: feedback_pb2.GetSuppressionRequest, context: Context
    ) -> feedback_pb2.Suppression:
        """Say whether an address is given up."""
        channel, hashed = self.desk.hashed(request.channel, request.address)
        async with self.desk.store.unit() as unit:
            found = await unit.feedback.suppressed(hashed, channel)
        now_us = micros_of(self.desk.clock.now())
        over = found is not None and found.until_us is not None and found.until_us <= now_us
        return suppression_message(channel, None if over else found)

    async def LiftSuppression(
        self, request: feedback_pb2.LiftSuppressionRequest, context: Context
    ) -> feedback_pb2.Suppression:
        """Write to an address again that was given up after a bounce."""

        async def lifted(unit: EdgeUnit) -> feedback_pb2.Suppression:
            channel, hashed = self.desk.hashed(request.channel, request.address)
            found = await unit.feedback.suppressed(hashed, channel)
            if found is not None and found.reason is Suppressed.COMPLAINT:
                raise ERRORS.error("SUPPRESSION_STANDS", "the person said that it was unwanted")
            await unit.feedback.lift(hashed, channel)
            return suppression_message(channel, None)

        return await self.once.run(
            request, feedback_pb2.Suppression, lifted, target="suppression", reason=request.reason
        )

    async def RegisterEndpoint(
        self, request: feedback_pb2.RegisterEndpointRequest, context: Context
    ) -> feedback_pb2.Endpoint:
        """Say where a person can be reached besides addresses."""
        return await self.endpoints.register(request)

    async def RemoveEndpoint(
        self, request: feedback_pb2.RemoveEndpointRequest, context: Context
    ) -> feedback_pb2.RemoveEndpointResponse:
        """Take an endpoint back."""
        return await self.endpoints.remove(request)

    async def ListEndpoints(
        self, request: feedback_pb2.ListEndpointsRequest, context: Context
    ) -> feedback_pb2.ListEndpointsResponse:
        """List where a person can be reached besides addresses."""
        return await self.endpoints.page(request)


async def read_mail(mail: bytes) -> Returned:
    """Read a mail in a thread: a large one takes a while."""
    return await asyncio.to_thread(read, mail)


def _message(result: Result) -> feedback_pb2.FeedbackResult:
    return feedback_pb2.FeedbackResult(
        kind=_number(result.kind),
        notification_id=result.notification_id,
        attempt=result.attempt,
        suppressed=result.suppressed,
        repeated_before=result.repeated,
    )


def _number(kind: Feedback | None) -> feedback_pb2.FeedbackKind.ValueType:
    return NUMBERS[kind] if kind is not None else feedback_pb2.FEEDBACK_KIND_UNSPECIFIED
