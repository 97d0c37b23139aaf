"""rapport.consent.v1.PrivacyRequestService over gRPC: taking requests in, showing who asks, deciding."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from rapport.consent.v1 import privacy_pb2, privacy_pb2_grpc, privacy_request_pb2
from rapport_chassis.ids import new_id
from rapport_chassis.once import actor, author
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.times import moment, stamp

from rapport_consent.app.confirm_task import confirm_task
from rapport_consent.app.decide_request import (
    approve_request,
    assign_request,
    cancel_request,
    choose_record,
    decide_review,
    extend_request,
    note_on_request,
    refuse_request,
)
from rapport_consent.app.take_request import CODES, take_request
from rapport_consent.app.verify_requester import show, try_code
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.request_words import Choice, Method
from rapport_consent.domain.requests import Verification
from rapport_consent.entrypoints.grpc_records import RecordTaking
from rapport_consent.entrypoints.request_ports import RequestUnit
from rapport_consent.translate.requests import (
    RIGHTS,
    contact_message,
    day_of,
    deadline_message,
    request_of,
    vault_of,
)
from rapport_consent.translate.tasks import answer_of, confirmed_task

_GRACE: Final = timedelta(days=1)


@dataclass(frozen=True)
class PrivacyRequestServicer(RecordTaking, privacy_pb2_grpc.PrivacyRequestServiceServicer):
    """Every decision is made once, in the transaction that also audits it; the saga does the rest."""

    async def CreateRequest(
        self, request: privacy_pb2.CreateRequestRequest, context: Context
    ) -> privacy_pb2.CreatedRequest:
        """Take a request in; the answer is the same whether or not anybody is known."""
        now = self.clock.now()
        received_at = moment(request.received_at) if request.HasField("received_at") else now
        pack = self.law.in_force(request.market, received_at)
        made = request_of(
            request,
            request_id=new_id("privacy_request"),
            received_at=received_at,
            rule_pack=pack.name,
            author=author(),
            now=now,
        )

        async def take(unit: RequestUnit) -> privacy_pb2.CreatedRequest:
            taken = await take_request(unit, made, vault_of(request), self.law, now)
            today = self.law.today(taken, now)
            return privacy_pb2.CreatedRequest(
                privacy_request_id=taken.id,
                received_at=stamp(taken.received_at),
                deadlines=[deadline_message(due, today, pack.name) for due in self.law.dues(taken)],
            )

        return await self.once.run(request, privacy_pb2.CreatedRequest, take, target=made.id)

    async def VerifyRequester(
        self, request: privacy_pb2.VerifyRequesterRequest, context: Context
    ) -> privacy_pb2.VerifiedRequester:
        """Show who asks."""
        now, by, request_id = self.clock.now(), author(), request.privacy_request_id

        async def verify(unit: RequestUnit) -> privacy_pb2.VerifiedRequester:
            proof = request.WhichOneof("proof")
            if proof == "code":
                shown = await try_code(unit, request_id, request.code, self.law, now, by)
                return privacy_pb2.VerifiedRequester(verified=shown.verified, attempts_left=shown.attempts_left)
            held = await unit.requests.hold(request_id)
            if proof == "login_profile_id":
                verification, profile_id = Verification(Method.LOGIN, now, by), request.login_profile_id
            else:
                verification, profile_id = self._seen(request, actor()), request.profile_id
            await show(unit, held, verification, profile_id, self.law, now)
            return privacy_pb2.VerifiedRequester(verified=True)

        return await self.once.run(request, privacy_pb2.VerifiedRequester, verify, target=request_id)

    def _seen(self, request: privacy_pb2.VerifyRequesterRequest, by: str) -> Verification:
        proof = request.WhichOneof("proof")
        if proof is None:
            raise ERRORS.error("REQUEST_INVALID", "how is it shown who asks?", field="proof")
        seen = request.document if proof == "document" else request.letter
        method = Method.DOCUMENT if proof == "document" else Method.LETTER
        try:
            seen_on = day_of(seen.seen_on)
        except ValueError:
            raise ERRORS.error("REQUEST_INVALID", "not a day", field=f"{proof}.seen_on") from None
        return Verification(method, self.clock.now(), by, seen.kind, seen_on)

    async def SendCode(self, request: privacy_pb2.SendCodeRequest, context: Context) -> privacy_pb2.SendCodeResponse:
        """Have another code sent, if one can be."""

        async def want(unit: RequestUnit) -> privacy_pb2.SendCodeResponse:
            await unit.requests.get(request.privacy_request_id)
            await unit.codes.want(request.privacy_request_id, self.clock.now(), CODES)
            return privacy_pb2.SendCodeResponse()

        return await self.once.run(request, privacy_pb2.SendCodeResponse, want, target=request.privacy_request_id)

    async def ApproveRequest(
        self, request: privacy_pb2.ApproveRequestRequest, context: Context
    ) -> privacy_request_pb2.PrivacyRequest:
        """Approve what is not refused."""
        return await self._decide(
            request,
            lambda unit: approve_request(
                unit, request.privacy_request_id, actor(), self.participants, self.clock.now()
            ),
        )

    async def RefuseRequest(
        self, request: privacy_pb2.RefuseRequestRequest, context: Context
    ) -> privacy_request_pb2.PrivacyRequest:
        """Refuse a request or some of its rights."""
        return await self._decide(
            request,
            lambda unit: refuse_request(
                unit,
                request.privacy_request_id,
                [RIGHTS[right] for right in request.rights],
                ground=request.ground,
                text=request.text,
                tells=request.tells,
                evidence=request.evidence,
                actor=actor(),
                law=self.law,
                now=self.clock.now(),
            ),
        )

    async def ExtendRequest(
        self, request: privacy_pb2.ExtendRequestRequest, context: Context
    ) -> privacy_request_pb2.PrivacyRequest:
        """Extend the time."""
        return await self._decide(
            request,
            lambda unit: extend_request(
                unit, request.privacy_request_id, request.ground, actor(), self.law, self.clock.now()
            ),
        )

    async def CancelRequest(
        self, request: privacy_pb2.CancelRequestRequest, context: Context
    ) -> privacy_request_pb2.PrivacyRequest:
        """Close a request that was taken back."""
        return await self._decide(
            request, lambda unit: cancel_request(unit, request.privacy_request_id, self.clock.now())
        )

    async def AssignRequest(
        self, request: privacy_pb2.AssignRequestRequest, context: Context
    ) -> privacy_request_pb2.PrivacyRequest:
        """Give a request to somebody."""
        return await self._decide(
            request, lambda unit: assign_request(unit, request.privacy_request_id, request.assignee)
        )

    async def AddNote(
        self, request: privacy_pb2.AddNoteRequest, context: Context
    ) -> privacy_request_pb2.PrivacyRequest:
        """Note something on a request."""
        return await self._decide(
            request,
            lambda unit: note_on_request(unit, request.privacy_request_id, request.text, actor(), self.clock.now()),
        )

    async def ChooseRecord(
        self, request: privacy_pb2.ChooseRecordRequest, context: Context
    ) -> privacy_request_pb2.PrivacyRequest:
        """Choose what becomes of a doubtful record."""
        choice = Choice(privacy_request_pb2.SubjectChoice.Name(request.choice).removeprefix("SUBJECT_CHOICE_"))
        return await self._decide(
            request,
            lambda unit: choose_record(unit, request.privacy_request_id, request.record_ref, choice, actor()),
        )

    async def DecideReviewOfRight(
        self, request: privacy_pb2.DecideReviewOfRightRequest, context: Context
    ) -> privacy_request_pb2.PrivacyRequest:
        """Say how a review ended."""
        return await self._decide(
            request,
            lambda unit: decide_review(
                unit,
                request.privacy_request_id,
                RIGHTS[request.right],
                changed=request.changed,
                effect=request.effect,
                actor=actor(),
                now=self.clock.now(),
            ),
        )

    async def CompleteManualTask(
        self, request: privacy_pb2.CompleteManualTaskRequest, context: Context
    ) -> privacy_request_pb2.PrivacyRequest:
        """Confirm that people have done what a task asks."""
        now = self.clock.now()
        return await self._decide(
            request,
            lambda unit: confirm_task(
                unit,
                request.privacy_request_id,
                request.task_id,
                lambda task: answer_of(confirmed_task(task, request, now)),
                now,
                actor(),
            ),
        )

    async def TakeRequestContact(
        self, request: privacy_pb2.TakeRequestContactRequest, context: Context
    ) -> privacy_pb2.TakeRequestContactResponse:
        """Give a request's address to a notification. After the closing notice has it, the vault is emptied soon."""
        async with self.store.unit() as unit:
            held = await unit.requests.hold(request.request_id)
            vault = await unit.vault.give(request.request_id, request.notification_id)
            if vault is None or not vault.notice.reachable:
                raise ERRORS.error("CONTACT_GONE", "the vault holds no address", field="request_id")
            if not held.is_open:
                await unit.requests.save(held, self.clock.now() + _GRACE)
            return privacy_pb2.TakeRequestContactResponse(contact=contact_message(vault.notice), locale=held.locale)
