"""rapport.consent.v1.ConsentService over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from rapport.common.v1 import freshness_pb2
from rapport.consent.v1 import consent_pb2, consent_pb2_grpc
from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.once import Once, author
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.rpc.status import encode
from rapport_chassis.times import moment, stamp
from rapport_privacy.decision import Decision
from rapport_privacy.gate import Gate
from rapport_privacy.ports import ForeignEpochError
from rapport_privacy.replica import Replica
from rapport_privacy.translate import decision_message
from rapport_privacy.vocabulary import Reason

from rapport_consent.app.get_consent_state import consent_state
from rapport_consent.app.ledger import LedgerWrite, Token
from rapport_consent.app.lift_restriction import lift_restriction
from rapport_consent.app.place_restriction import place_restriction
from rapport_consent.app.raise_fence import raise_fence
from rapport_consent.app.record_consent import record_consent
from rapport_consent.app.record_objection import record_objection
from rapport_consent.app.record_signal import record_gpc
from rapport_consent.app.withdraw_consent import withdraw_consent
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.purposes import unknown_purpose
from rapport_consent.domain.signals import refuse_signal
from rapport_consent.entrypoints.imports import Imports
from rapport_consent.entrypoints.links import ReceiptLinks
from rapport_consent.entrypoints.ports import Authority, Heads, LedgerFeed, LedgerStore, LedgerUnit, Log, Receipts
from rapport_consent.translate.decisions import answers_of, consent_state_message, ledger_write
from rapport_consent.translate.ledger import position_message
from rapport_consent.translate.receipts import receipt_message, signing_key_message
from rapport_consent.translate.restores import DECISIONS, restore_message

_PAGE: Final = 500
_MOST: Final = 5_000
_YIELD_EVERY: Final = 100


@dataclass(frozen=True)
class ConsentServicer(consent_pb2_grpc.ConsentServiceServicer):
    """Writes go to the ledger once per request id; checks are answered from memory."""

    once: Once[LedgerUnit]
    store: LedgerStore
    imports: Imports
    gate: Gate
    replica: Replica
    authority: Authority
    heads: Heads
    ledger: LedgerFeed
    receipts: Receipts
    log: Log
    links: ReceiptLinks | None
    clock: Clock
    production: bool

    async def RecordConsent(
        self, request: consent_pb2.RecordConsentRequest, context: Context
    ) -> consent_pb2.LedgerWrite:
        """Record what a person answered to a notice."""
        answers, now = answers_of(request), self.clock.now()
        return await self._write(
            request,
            lambda unit: record_consent(unit, request.profile_id, answers, now=now, production=self.production),
        )

    async def RecordConsents(
        self, request_iterator: AsyncIterator[consent_pb2.RecordConsentsRequest], context: Context
    ) -> AsyncIterator[consent_pb2.RecordConsentsResponse]:
        """Import histories from elsewhere."""
        async with aclosing(self.imports.run(request_iterator)) as answers:
            async for answer in answers:
                yield answer

    async def WithdrawConsent(
        self, request: consent_pb2.WithdrawConsentRequest, context: Context
    ) -> consent_pb2.LedgerWrite:
        """Take consent back."""
        occurred_at = moment(request.occurred_at) if request.HasField("occurred_at") else None
        return await self._write(
            request,
            lambda unit: withdraw_consent(
                unit,
                request.profile_id,
                request.purpose_ids,
                request.brand_id,
                occurred_at=occurred_at,
                now=self.clock.now(),
            ),
        )

    async def RecordObjection(
        self, request: consent_pb2.RecordObjectionRequest, context: Context
    ) -> consent_pb2.LedgerWrite:
        """Record an objection."""
        occurred_at = moment(request.occurred_at) if request.HasField("occurred_at") else None
        return await self._write(
            request,
            lambda unit: record_objection(
                unit,
                request.profile_id,
                request.purpose_ids,
                request.brand_id,
                occurred_at=occurred_at,
                now=self.clock.now(),
            ),
        )

    async def RecordSignal(
        self, request: consent_pb2.RecordSignalRequest, context: Context
    ) -> consent_pb2.RecordSignalResponse:
        """Record a signal of the person's browser."""
        kind = request.WhichOneof("signal") or ""
        if kind != "sec_gpc":
            refuse_signal(kind)
        occurred_at = moment(request.occurred_at) if request.HasField("occurred_at") else None

        async def record(unit: LedgerUnit) -> consent_pb2.RecordSignalResponse:
            write = await record_gpc(
                unit,
                request.profile_id,
                request.sec_gpc,
                request.brand_id,
                occurred_at=occurred_at,
                now=self.clock.now(),
            )
            if write is None:
                return consent_pb2.RecordSignalResponse(honoured=False)
            return consent_pb2.RecordSignalResponse(honoured=True, write=ledger_write(write))

        return await self.once.run(request, consent_pb2.RecordSignalResponse, record, target=request.profile_id)

    async def PlaceRestriction(
        self, request: consent_pb2.PlaceRestrictionRequest, context: Context
    ) -> consent_pb2.LedgerWrite:
        """Restrict processing to storage."""
        return await self._write(
            request,
            lambda unit: place_restriction(unit, request.profile_id, request.ground, now=self.clock.now()),
            reason=request.ground,
        )

    async def LiftRestriction(
        self, request: consent_pb2.LiftRestrictionRequest, context: Context
    ) -> consent_pb2.LedgerWrite:
        """Lift a restriction."""
        told_at = moment(request.subject_told_at)
        return await self._write(
            request,
            lambda unit: lift_restriction(unit, request.profile_id, told_at, now=self.clock.now()),
            reason="SUBJECT_TOLD",
        )

    async def RaiseFence(self, request: consent_pb2.RaiseFenceRequest, context: Context) -> consent_pb2.LedgerWrite:
        """Fence every id of a person for ever and blank the rows about them."""
        return await self._write(
            request,
            lambda unit: raise_fence(unit, request.profile_id, request.privacy_request_id, now=self.clock.now()),
            reason=request.privacy_request_id,
        )

    async def CheckConsent(self, request: consent_pb2.CheckConsentRequest, context: Context) -> consent_pb2.Decision:
        """Answer whether an effect is allowed now."""
        at_least = _token(request.at_least) if request.HasField("at_least") else None
        entry = request.entry
        if request.consistency == consent_pb2.CONSISTENCY_AUTHORITY:
            decision = await self.authority.check(entry, at_least)
        else:
            decision = self._check(entry, at_least)
        if decision.reason == Reason.UNKNOWN_PURPOSE:
            raise unknown_purpose(entry.purpose_id, self.replica.contents.purposes, "entry.purpose_id")
        return decision_message(decision)

    async def BatchCheckConsent(
        self, request: consent_pb2.BatchCheckConsentRequest, context: Context
    ) -> consent_pb2.BatchCheckConsentResponse:
        """Answer many checks at once; an unknown purpose is an answer here, not an error."""
        at_least = _token(request.at_least) if request.HasField("at_least") else None
        authority = request.consistency == consent_pb2.CONSISTENCY_AUTHORITY
        results = []
        for count, entry in enumerate(request.entries, start=1):
            try:
                if authority:
                    decision = await self.authority.check(entry, at_least)
                else:
                    decision = self._check(entry, at_least)
                results.append(consent_pb2.BatchCheckConsentResult(decision=decision_message(decision)))
            except RapportError as error:
                results.append(consent_pb2.BatchCheckConsentResult(status=encode(error, "")))
            if count % _YIELD_EVERY == 0:
                await asyncio.sleep(0)  # others are answered in between
        return consent_pb2.BatchCheckConsentResponse(results=results)

    async def GetConsentState(
        self, request: consent_pb2.GetConsentStateRequest, context: Context
    ) -> consent_pb2.ConsentState:
        """Return what was permitted at a time as known at another."""
        reading = await self.authority.read(request.profile_id)
        as_of = moment(request.as_of) if request.HasField("as_of") else None
        known_at = moment(request.as_known_at) if request.HasField("as_known_at") else None
        state = consent_state(reading, request.profile_id, as_of=as_of, as_known_at=known_at)
        return consent_state_message(state, as_of or self.clock.now(), Token(reading.epoch, reading.position))

    async def ListConsentEvents(
        self, request: consent_pb2.ListConsentEventsRequest, context: Context
    ) -> consent_pb2.ListConsentEventsResponse:
        """Return positioned changes after a position."""
        size = min(request.page_size or _PAGE, _MOST)
        try:
            changes = await self.ledger.after(request.after_position, size, request.epoch)
        except ForeignEpochError:
            raise ERRORS.error("EPOCH_UNKNOWN", "the ledger is in another epoch", field="epoch") from None
        head = await self.heads.read()
        return consent_pb2.ListConsentEventsResponse(changes=changes, head=position_message(Token(*head)))

    async def GetLedgerHead(
        self, request: consent_pb2.GetLedgerHeadRequest, context: Context
    ) -> consent_pb2.LedgerHead:
        """Return the committed head, read after the request arrived."""
        return consent_pb2.LedgerHead(head=position_message(Token(*await self.heads.read())))

    async def StreamSnapshot(
        self, request: consent_pb2.StreamSnapshotRequest, context: Context
    ) -> AsyncIterator[consent_pb2.StreamSnapshotResponse]:
        """Stream the whole state."""
        async for message in self.ledger.stream():
            yield message

    async def ListRestores(
        self, request: consent_pb2.ListRestoresRequest, context: Context
    ) -> consent_pb2.ListRestoresResponse:
        """Return restores of the ledger, and what is in doubt since."""
        async with self.store.unit() as unit:
            found = await unit.restores()
        return consent_pb2.ListRestoresResponse(restores=[restore_message(each) for each in found])

    async def DecideRestore(
        self, request: consent_pb2.DecideRestoreRequest, context: Context
    ) -> consent_pb2.LedgerRestore:
        """Let grants count again that are in doubt since a restore, or withhold them for good."""
        restored_at, decision = moment(request.restored_at), DECISIONS[request.decision]

        async def decide(unit: LedgerUnit) -> consent_pb2.LedgerRestore:
            decided = await unit.decide_restore(restored_at, decision, actor=author(), now=self.clock.now())
            return restore_message(decided)

        return await self.once.run(
            request, consent_pb2.LedgerRestore, decide, target=restored_at.isoformat(), reason=request.reason
        )

    async def GetReceipt(self, request: consent_pb2.GetReceiptRequest, context: Context) -> consent_pb2.Receipt:
        """Return a signed receipt."""
        receipt = await self.receipts.signed(request.receipt_id)
        message = receipt_message(request.receipt_id, receipt.document, receipt.signature, receipt.kid)
        message.log_proof = await self.log.proof(request.receipt_id)
        if self.links is not None:
            message.link, expires_at = self.links.link_to(request.receipt_id)
            message.link_expires_at.CopyFrom(stamp(expires_at))
        return message

    async def ListSigningKeys(
        self, request: consent_pb2.ListSigningKeysRequest, context: Context
    ) -> consent_pb2.ListSigningKeysResponse:
        """Return the public keys that verify receipts, newest first."""
        return consent_pb2.ListSigningKeysResponse(
            keys=[signing_key_message(key) for key in self.receipts.public_keys()]
        )

    async def _write(
        self, request: Any, work: Callable[[LedgerUnit], Awaitable[LedgerWrite]], *, reason: str = ""
    ) -> consent_pb2.LedgerWrite:
        async def effect(unit: LedgerUnit) -> consent_pb2.LedgerWrite:
            return ledger_write(await work(unit))

        return await self.once.run(request, consent_pb2.LedgerWrite, effect, target=request.profile_id, reason=reason)

    def _check(self, entry: consent_pb2.CheckEntry, at_least: Token | None) -> Decision:
        return self.gate.check(
            entry.profile_id,
            entry.purpose_id,
            brand_id=entry.brand_id,
            market=entry.market,
            data_category=entry.data_category,
            at_least=at_least,
        )


def _token(message: freshness_pb2.LedgerPosition) -> Token:
    return Token(message.epoch, message.position)
