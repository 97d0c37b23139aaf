"""rapport.consent.v1.PrivacyRequestService over gRPC: what operators look at, open and hold."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from rapport.consent.v1 import privacy_pb2, privacy_request_pb2
from rapport_chassis.audit import AuditEntry, AuditTrail
from rapport_chassis.auth.actor_tokens import require_fresh_login
from rapport_chassis.clock import Clock
from rapport_chassis.ids import new_id
from rapport_chassis.once import Once, actor, deed_of
from rapport_chassis.paging import cursor_of, next_page_token
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.rpc.pipeline import current_call
from rapport_chassis.times import moment, stamp

from rapport_consent.app.hold_records import place_hold, release_hold
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.holds import HeldRecords, Hold
from rapport_consent.domain.law import Law
from rapport_consent.domain.obstacles import obstacles
from rapport_consent.domain.request_rules import next_action
from rapport_consent.domain.requests import Participant, Request
from rapport_consent.domain.rule_packs import Right
from rapport_consent.entrypoints.package_links import PackageLinks
from rapport_consent.entrypoints.ports import Log
from rapport_consent.entrypoints.request_ports import Letters, PackageStore, RenderedLetter, RequestStore, RequestUnit
from rapport_consent.translate.requests import RIGHTS, audit_message, placed_hold, request_message, state_of

_PAGE: Final = 50
_MOST: Final = 500
_FIRST: Final = ("-infinity", "")


async def request_view(
    unit: RequestUnit, request: Request, law: Law, now: datetime, *, packages: bool = False, certificate: bool = False
) -> privacy_request_pb2.PrivacyRequest:
    """Return a request as operators see it, with what participants answered and what holds it up."""
    tasks = await unit.tasks.of(request.id)
    holds = await unit.holds.of(request.subject_ids)
    return request_message(
        request,
        dues=law.dues(request) if request.is_open else (),
        today=law.today(request, now),
        next_action=next_action(request, law.of(request)),
        obstacles=obstacles(request, tasks, holds),
        tasks=tasks,
        packages=packages,
        certificate=certificate,
    )


@dataclass(frozen=True)
class RequestReading:
    """The reading half of the service, and what operators do besides deciding."""

    once: Once[RequestUnit]
    store: RequestStore
    law: Law
    packages: PackageStore
    log: Log
    letters: Letters
    trail: AuditTrail
    participants: Sequence[Participant]
    clock: Clock
    fresh_login: timedelta
    links: PackageLinks | None

    async def GetRequest(
        self, request: privacy_pb2.GetRequestRequest, context: Context
    ) -> privacy_request_pb2.PrivacyRequest:
        """Return a request."""
        now, request_id = self.clock.now(), request.privacy_request_id
        packages = bool(await self.packages.rights(request_id, now))
        certificate = await self.packages.certificate(request_id) is not None
        async with self.store.unit() as unit:
            found = await unit.requests.get(request_id)
            return await request_view(unit, found, self.law, now, packages=packages, certificate=certificate)

    async def ListRequests(
        self, request: privacy_pb2.ListRequestsRequest, context: Context
    ) -> privacy_pb2.ListRequestsResponse:
        """List the register, what is due first at the top."""
        size, now = min(request.page_size or _PAGE, _MOST), self.clock.now()
        cursor = cursor_of(request, request.page_token)
        after = (str(cursor[0]), str(cursor[1])) if cursor else _FIRST
        states = [state_of(state) for state in request.states if state]
        right = RIGHTS.get(request.right)
        async with self.store.unit() as unit:
            found = await unit.requests.page(states, request.assignee, right, after, size + 1)
            counts = await unit.requests.counts()
        page = found[:size]
        last = page[-1] if len(found) > size else None
        return privacy_pb2.ListRequestsResponse(
            requests=[
                request_message(
                    each,
                    dues=self.law.dues(each) if each.is_open else (),
                    today=self.law.today(each, now),
                    next_action=next_action(each, self.law.of(each)),
                    obstacles=obstacles(each, (), ()),
                )
                for each, _ in page
            ],
            next_page_token=next_page_token(request, (last[1], last[0].id)) if last else "",
            open_by_action=counts,
        )

    async def PreviewLetter(self, request: privacy_pb2.PreviewLetterRequest, context: Context) -> privacy_pb2.Letter:
        """Show a letter before it is sent."""
        async with self.store.unit() as unit:
            found = await unit.requests.get(request.privacy_request_id)
            letter = await self.letters.preview(unit, found, request.kind, request.locale or found.locale)
        return _letter(request.kind, letter)

    async def EditLetter(self, request: privacy_pb2.EditLetterRequest, context: Context) -> privacy_pb2.Letter:
        """Edit a letter in its marked places."""

        async def edit(unit: RequestUnit) -> privacy_pb2.Letter:
            found = await unit.requests.hold(request.privacy_request_id)
            return _letter(request.kind, await self.letters.edit(unit, found, request.kind, dict(request.marked)))

        return await self.once.run(request, privacy_pb2.Letter, edit, target=request.privacy_request_id)

    async def DownloadPackage(
        self, request: privacy_pb2.DownloadPackageRequest, context: Context
    ) -> AsyncIterator[privacy_pb2.PackageChunk]:
        """Stream a package to an operator who logged in just now; it is audited before the first byte."""
        call = current_call()
        assert call.actor is not None, "the contract marks the method as human"
        require_fresh_login(call.actor, self.clock, self.fresh_login)
        rights = await self.packages.rights(request.privacy_request_id, self.clock.now())
        right = _openable(rights, RIGHTS.get(request.right))
        sha256, pieces = await self.packages.open(request.privacy_request_id, right)
        async with self.store.unit() as unit:
            deed = deed_of(request.privacy_request_id, right.value)
            assert deed is not None, "an operator stands behind the call"
            await self.trail.append(unit.connection, **deed._asdict(), outcome="allowed")
        async for piece in pieces:
            yield privacy_pb2.PackageChunk(data=piece)
        yield privacy_pb2.PackageChunk(sha256=sha256)

    async def GetPackageLink(
        self, request: privacy_pb2.GetPackageLinkRequest, context: Context
    ) -> privacy_pb2.PackageLink:
        """Return a link for the person, to an operator who logged in just now; it is audited."""
        call = current_call()
        assert call.actor is not None, "the contract marks the method as human"
        require_fresh_login(call.actor, self.clock, self.fresh_login)
        if self.links is None:
            raise ERRORS.error("LINKS_OFF", "there is no HTTP listener")
        rights = await self.packages.rights(request.privacy_request_id, self.clock.now())
        right = _openable(rights, RIGHTS.get(request.right))
        async with self.store.unit() as unit:
            link, ends = self.links.link_to(await unit.requests.get(request.privacy_request_id), right)
            deed = deed_of(request.privacy_request_id, right.value)
            assert deed is not None, "an operator stands behind the call"
            await self.trail.append(unit.connection, **deed._asdict(), outcome="allowed")
        return privacy_pb2.PackageLink(link=link, expires_at=stamp(ends))

    async def GetErasureCertificate(
        self, request: privacy_pb2.GetErasureCertificateRequest, context: Context
    ) -> privacy_pb2.ErasureCertificate:
        """Return the proof of an erasure."""
        certificate = await self.packages.certificate(request.privacy_request_id)
        if certificate is None:
            raise ERRORS.error("CERTIFICATE_NOT_READY", "there is no certificate yet", field="privacy_request_id")
        return privacy_pb2.ErasureCertificate(
            certificate_id=certificate.certificate_id,
            document=certificate.document,
            signature=certificate.signature,
            kid=certificate.kid,
            pdf=certificate.pdf,
            log_proof=await self.log.proof(certificate.certificate_id),
        )

    async def PlaceHold(
        self, request: privacy_pb2.PlaceHoldRequest, context: Context
    ) -> privacy_request_pb2.PlacedHold:
        """Place a hold."""
        hold = Hold(
            id=new_id("hold"),
            task_request_id=new_id("privacy_request"),
            profile_id=request.profile_id,
            records=tuple(
                HeldRecords(each.participant, each.store, tuple(each.record_ids)) for each in request.records
            ),
            matter_id=request.matter_id,
            ground=request.ground,
            review_at=moment(request.review_at),
            placed_at=self.clock.now(),
            placed_by=actor(),
        )

        async def place(unit: RequestUnit) -> privacy_request_pb2.PlacedHold:
            return privacy_request_pb2.PlacedHold(hold_id=(await place_hold(unit, hold, self.participants)).id)

        return await self._held(request, place, hold.id)

    async def ReleaseHold(
        self, request: privacy_pb2.ReleaseHoldRequest, context: Context
    ) -> privacy_request_pb2.PlacedHold:
        """Release a hold; erasures that wait for it go on."""

        async def release(unit: RequestUnit) -> privacy_request_pb2.PlacedHold:
            now = self.clock.now()
            released = await release_hold(unit, request.hold_id, actor(), self.participants, now)
            return privacy_request_pb2.PlacedHold(hold_id=released.id)

        return await self._held(request, release, request.hold_id)

    async def _held(
        self, request: Any, work: Callable[[RequestUnit], Awaitable[privacy_request_pb2.PlacedHold]], target: str
    ) -> privacy_request_pb2.PlacedHold:
        """Do something about a hold once; what is kept of the answer for a repeat names nobody."""
        told = await self.once.run(request, privacy_request_pb2.PlacedHold, work, target=target, reason=request.reason)
        async with self.store.unit() as unit:
            return placed_hold(await unit.holds.get(told.hold_id))

    async def ListHolds(self, request: privacy_pb2.ListHoldsRequest, context: Context) -> privacy_pb2.ListHoldsResponse:
        """List holds, the newest first."""
        size = min(request.page_size or _PAGE, _MOST)
        cursor = cursor_of(request, request.page_token)
        before = datetime.fromisoformat(str(cursor[0])) if cursor else None
        async with self.store.unit() as unit:
            found = await unit.holds.page(request.profile_id, request.released, before, size + 1)
            page = found[:size]
            shown = []
            for hold in page:
                awaited = [task.participant for task in await unit.tasks.of(hold.task_request_id) if not task.answer]
                shown.append(placed_hold(hold, sorted(set(awaited))))
        more = len(found) > size
        return privacy_pb2.ListHoldsResponse(
            holds=shown,
            next_page_token=next_page_token(request, (page[-1].placed_at.isoformat(),)) if more else "",
        )

    async def ListAuditEvents(
        self, request: privacy_pb2.ListAuditEventsRequest, context: Context
    ) -> privacy_pb2.ListAuditEventsResponse:
        """List what was done, by whom and why, the newest first."""
        size = min(request.page_size or _PAGE, _MOST)
        cursor = cursor_of(request, request.page_token)
        before = int(cursor[0]) if cursor else None
        found: list[AuditEntry] = []
        async with self.store.unit() as unit:
            while len(found) <= size:
                entries = await self.trail.read(unit.connection, before=before, limit=_MOST)
                found += [each for each in entries if not request.target or each.content.target == request.target]
                if len(entries) < _MOST:
                    break
                before = entries[-1].position
        page = found[:size]
        more = len(found) > size
        return privacy_pb2.ListAuditEventsResponse(
            events=[audit_message(entry) for entry in page],
            next_page_token=next_page_token(request, (page[-1].position,)) if more else "",
        )


def _openable(rights: Sequence[Right], wanted: Right | None) -> Right:
    if wanted in rights or (wanted is None and len(rights) == 1):
        return wanted or rights[0]
    raise ERRORS.error("PACKAGE_NOT_READY", "there is no such package, or it has expired", field="right")


def _letter(kind: str, letter: RenderedLetter) -> privacy_pb2.Letter:
    return privacy_pb2.Letter(
        kind=kind,
        locale=letter.locale,
        title=letter.title,
        html=letter.html,
        text=letter.text,
        pdf=letter.pdf,
        marked=letter.marked,
    )
