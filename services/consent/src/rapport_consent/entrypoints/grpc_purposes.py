"""rapport.consent.v1.PurposeService over gRPC."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from rapport.consent.v1 import purpose_pb2, purpose_pb2_grpc
from rapport_chassis.authored import VersionState
from rapport_chassis.clock import Clock
from rapport_chassis.once import Once, author
from rapport_chassis.paging import cursor_of, next_page_token
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.times import moment

from rapport_consent.app.tell_of_purpose import tell_of_purpose
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.notices import Notice
from rapport_consent.domain.purposes import find_purpose, validate_terms
from rapport_consent.entrypoints.ports import LedgerStore, LedgerUnit
from rapport_consent.translate.ledger import position_message
from rapport_consent.translate.notices import notice_message
from rapport_consent.translate.purposes import merged_terms, purpose_message, terms_of

_PAGE: Final = 50
_MOST: Final = 500
_STATES: Final[dict[int, VersionState | None]] = {
    purpose_pb2.VERSION_STATE_UNSPECIFIED: None,
    purpose_pb2.VERSION_STATE_DRAFT: "draft",
    purpose_pb2.VERSION_STATE_ACTIVE: "active",
    purpose_pb2.VERSION_STATE_RETIRED: "retired",
}


@dataclass(frozen=True)
class PurposeServicer(purpose_pb2_grpc.PurposeServiceServicer):
    """Purposes are drafted by a caller and decided upon by an operator."""

    once: Once[LedgerUnit]
    store: LedgerStore
    clock: Clock

    async def UpsertPurpose(self, request: purpose_pb2.UpsertPurposeRequest, context: Context) -> purpose_pb2.Purpose:
        """Draft a version of a purpose."""

        async def draft(unit: LedgerUnit) -> purpose_pb2.Purpose:
            versions = unit.versions
            earlier = await versions.terms(request.purpose_id)
            terms = terms_of(merged_terms(request, earlier[-1] if earlier else None))
            validate_terms(terms, earlier)
            version = await versions.draft(request.purpose_id, terms, actor=author(), now=self.clock.now())
            return purpose_message(version)

        return await self.once.run(request, purpose_pb2.Purpose, draft, target=request.purpose_id)

    async def ActivatePurpose(
        self, request: purpose_pb2.ActivatePurposeRequest, context: Context
    ) -> purpose_pb2.PurposeDecision:
        """Put a drafted version in force from a time on."""

        async def activate(unit: LedgerUnit) -> purpose_pb2.PurposeDecision:
            versions, now = unit.versions, self.clock.now()
            version = await versions.activate(
                request.purpose_id,
                request.version,
                active_from=moment(request.active_from) if request.HasField("active_from") else None,
                actor=author(),
                reason=request.reason,
                now=now,
            )
            purpose = await versions.purpose(request.purpose_id)
            token = await tell_of_purpose(unit, purpose, version.version, now=now)
            return purpose_pb2.PurposeDecision(purpose=purpose_message(version), token=position_message(token))

        return await self.once.run(
            request, purpose_pb2.PurposeDecision, activate, target=request.purpose_id, reason=request.reason
        )

    async def RetirePurpose(
        self, request: purpose_pb2.RetirePurposeRequest, context: Context
    ) -> purpose_pb2.PurposeDecision:
        """Take a purpose out of force."""

        async def retire(unit: LedgerUnit) -> purpose_pb2.PurposeDecision:
            versions, now = unit.versions, self.clock.now()
            version = await versions.retire(request.purpose_id, actor=author(), reason=request.reason, now=now)
            token = await tell_of_purpose(unit, await versions.purpose(request.purpose_id), 0, now=now)
            return purpose_pb2.PurposeDecision(purpose=purpose_message(version), token=position_message(token))

        return await self.once.run(
            request, purpose_pb2.PurposeDecision, retire, target=request.purpose_id, reason=request.reason
        )

    async def ListPurposes(
        self, request: purpose_pb2.ListPurposesRequest, context: Context
    ) -> purpose_pb2.ListPurposesResponse:
        """List versions of purposes."""
        size = min(request.page_size or _PAGE, _MOST)
        cursor = cursor_of(request, request.page_token) or ("", 0)
        after = str(cursor[0]), int(cursor[-1])
        async with self.store.unit() as unit:
            versions = await unit.versions.page(request.purpose_id, _STATES[request.state], after, size + 1)
        page = versions[:size]
        more = len(versions) > size
        return purpose_pb2.ListPurposesResponse(
            purposes=[purpose_message(version) for version in page],
            next_page_token=next_page_token(request, (page[-1].id, page[-1].version)) if more else "",
        )

    async def PublishNotice(self, request: purpose_pb2.PublishNoticeRequest, context: Context) -> purpose_pb2.Notice:
        """Publish a version of a notice."""

        async def publish(unit: LedgerUnit) -> purpose_pb2.Notice:
            purposes = (await unit.catalogue()).purposes
            for index, purpose_id in enumerate(request.purpose_ids):
                find_purpose(purposes, purpose_id, f"purpose_ids[{index}]")
            notice = Notice(
                notice_id=request.notice_id,
                version=0,
                locale=request.locale,
                text=request.text,
                sha256=sha256(request.text.encode()).digest(),
                purpose_ids=frozenset(request.purpose_ids),
                brand_id=request.brand_id,
                published_at=self.clock.now(),
                published_by=author(),
            )
            return notice_message(await unit.publish(notice, reason=request.reason))

        return await self.once.run(
            request, purpose_pb2.Notice, publish, target=request.notice_id, reason=request.reason
        )

    async def GetNotice(self, request: purpose_pb2.GetNoticeRequest, context: Context) -> purpose_pb2.Notice:
        """Return a notice as it was shown, never in another language."""
        async with self.store.unit() as unit:
            notice = await unit.notice(request.notice_id, request.version, request.locale)
        if notice is None:
            raise ERRORS.error("NOTICE_NOT_FOUND", "there is no such notice in this version and language")
        return notice_message(notice)
