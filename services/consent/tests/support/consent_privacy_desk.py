"""Privacy requests as officers and shops have them: short words for long requests, through the public client alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consent_desk import OFFICER, SHOP, request_id
from consent_privacy_rig import OFFICE, PrivacyRig
from rapport.common.v1 import privacy_pb2 as common_pb2
from rapport.consent.v1 import consent_pb2, consent_pb2_grpc, privacy_pb2, privacy_pb2_grpc, privacy_request_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.waiting import eventually

FIRST, SECOND = "officer-1", "officer-2"
"""Two officers: what one prepares the other approves."""

RUNNING = privacy_request_pb2.PRIVACY_REQUEST_STATE_RUNNING
COMPLETED = privacy_request_pb2.PRIVACY_REQUEST_STATE_COMPLETED
VERIFIED = privacy_request_pb2.PRIVACY_REQUEST_STATE_VERIFIED
_PATIENCE_S = 60
_LOOK_S = 0.1


@dataclass(frozen=True)
class PrivacyDesk:
    """A place from which requests are made and decided.

    Attributes:
        rig: Where they go.
        shop: Calls as a service, for people on the web.
        first: Calls as one officer.
        second: Calls as another.
        ledger: Asks the ledger.
    """

    rig: PrivacyRig
    shop: privacy_pb2_grpc.PrivacyRequestServiceAsyncStub
    first: privacy_pb2_grpc.PrivacyRequestServiceAsyncStub
    second: privacy_pb2_grpc.PrivacyRequestServiceAsyncStub
    ledger: consent_pb2_grpc.ConsentServiceAsyncStub

    async def create(
        self, *rights: privacy_request_pb2.PrivacyRight.ValueType, email: str = "", **fields: Any
    ) -> privacy_pb2.CreatedRequest:
        """Take a request in, as a form on the web does."""
        return await self.shop.CreateRequest(created(*rights, email=email, **fields))

    async def verify(self, privacy_request_id: str, code: int) -> privacy_pb2.VerifiedRequester:
        """Show who asks by a code."""
        return await self.shop.VerifyRequester(
            privacy_pb2.VerifyRequesterRequest(
                request_id=request_id(), privacy_request_id=privacy_request_id, code=f"{code:08}"
            )
        )

    async def login(self, privacy_request_id: str, profile_id: str) -> None:
        """Show who asks by a login."""
        await self.shop.VerifyRequester(
            privacy_pb2.VerifyRequesterRequest(
                request_id=request_id(), privacy_request_id=privacy_request_id, login_profile_id=profile_id
            )
        )

    async def approve(self, privacy_request_id: str) -> privacy_request_pb2.PrivacyRequest:
        """Approve as the second officer, once it is known whom it is about."""

        async def approved() -> privacy_request_pb2.PrivacyRequest | None:
            try:
                return await self.second.ApproveRequest(
                    privacy_pb2.ApproveRequestRequest(
                        request_id=request_id(), privacy_request_id=privacy_request_id, reason="checked"
                    )
                )
            except RemoteError as error:
                if error.reason.name != "SUBJECT_UNSEARCHED":
                    raise
                return None

        return await eventually(approved, _PATIENCE_S, _LOOK_S)

    async def get(self, privacy_request_id: str) -> privacy_request_pb2.PrivacyRequest:
        """Return a request."""
        return await self.first.GetRequest(privacy_pb2.GetRequestRequest(privacy_request_id=privacy_request_id))

    async def code_to(self, profile_id: str) -> int:
        """Wait for the code that is sent to somebody."""

        async def sent() -> int:
            codes = await asyncio.to_thread(self.rig.sent, profile_id)
            return next((code for template, code in codes if template == "privacy_code"), 0)

        return await eventually(sent, _PATIENCE_S, _LOOK_S)

    async def verified(self, *rights: privacy_request_pb2.PrivacyRight.ValueType, email: str, profile_id: str) -> str:
        """Take in a request of somebody on file, and have it shown by a code that they asked."""
        made = (await self.create(*rights, email=email)).privacy_request_id
        assert (await self.verify(made, await self.code_to(profile_id))).verified
        return made

    async def until(
        self,
        privacy_request_id: str,
        state: privacy_request_pb2.PrivacyRequestState.ValueType,
        patience_s: float = _PATIENCE_S,
    ) -> privacy_request_pb2.PrivacyRequest:
        """Wait until a request stands somewhere."""

        async def there() -> privacy_request_pb2.PrivacyRequest | None:
            found = await self.get(privacy_request_id)
            await self.look_in_the_cellar(found)
            return found if found.state == state else None

        return await eventually(there, patience_s, _LOOK_S)

    async def look_in_the_cellar(self, request: privacy_request_pb2.PrivacyRequest) -> None:
        """Have people do what they are asked: they find nothing."""
        for task in request.tasks:
            if task.participant_kind == privacy_request_pb2.PARTICIPANT_KIND_MANUAL and not task.HasField("answer"):
                await self.first.CompleteManualTask(
                    privacy_pb2.CompleteManualTaskRequest(
                        request_id=request_id(),
                        privacy_request_id=request.privacy_request_id,
                        task_id=task.task_id,
                        outcome=common_pb2.PRIVACY_TASK_OUTCOME_NOTHING_HELD,
                        reason="looked through every box",
                    )
                )

    async def download(self, privacy_request_id: str, target: Path) -> Path:
        """Write the package of a request to a file, piece by piece."""
        request = privacy_pb2.DownloadPackageRequest(privacy_request_id=privacy_request_id)
        with target.open("wb") as file:
            async for chunk in self.first.DownloadPackage(request):
                file.write(chunk.data)
        return target

    async def held_up(self, privacy_request_id: str, code: str, stage: str) -> privacy_request_pb2.PrivacyRequest:
        """Wait until something holds a request up in a stage."""

        async def there() -> privacy_request_pb2.PrivacyRequest | None:
            found = await self.get(privacy_request_id)
            await self.look_in_the_cellar(found)
            return found if found.stage == stage and code in {each.code for each in found.obstacles} else None

        return await eventually(there, _PATIENCE_S, _LOOK_S)

    async def fenced(self, profile_id: str) -> bool:
        """Whether the ledger answers that somebody was erased."""
        answer = await self.ledger.CheckConsent(
            consent_pb2.CheckConsentRequest(
                entry=consent_pb2.CheckEntry(profile_id=profile_id, purpose_id="stats"),
                consistency=consent_pb2.CONSISTENCY_AUTHORITY,
            )
        )
        return answer.answer == consent_pb2.ANSWER_DENY_FENCED


def created(
    *rights: privacy_request_pb2.PrivacyRight.ValueType, email: str = "", **fields: Any
) -> privacy_pb2.CreateRequestRequest:
    """Return a request of somebody in Germany."""
    values: dict[str, Any] = {
        "request_id": request_id(),
        "rights": [privacy_request_pb2.RightAsked(right=right) for right in rights],
        "channel": privacy_request_pb2.PRIVACY_CHANNEL_WEB,
        "requester_role": privacy_request_pb2.REQUESTER_ROLE_SUBJECT,
        "contact": privacy_request_pb2.RequesterContact(email=email),
        "subject": privacy_pb2.SubjectHint(email=email),
        "market": "DE",
        "market_reason": "RESIDENCE",
        "locale": "de",
    }
    return privacy_pb2.CreateRequestRequest(**values | fields)


def contest(decision_id: str) -> privacy_request_pb2.RightAsked:
    """Return what somebody asks who contests a decision."""
    return privacy_request_pb2.RightAsked(right=privacy_request_pb2.PRIVACY_RIGHT_CONTEST, decision_id=decision_id)


@asynccontextmanager
async def open_privacy_desk(rig: PrivacyRig) -> AsyncIterator[PrivacyDesk]:
    """Call the service."""
    installation = rig.installation
    shop, office = installation.client(SHOP), installation.client(OFFICE)
    tokens = [installation.actor_token(OFFICE, subject=subject, roles=[OFFICER]) for subject in (FIRST, SECOND)]
    stub = privacy_pb2_grpc.PrivacyRequestServiceStub
    try:
        first, second = (office.stub(stub, actor_token=token) for token in tokens)
        yield PrivacyDesk(rig, shop.stub(stub), first, second, shop.stub(consent_pb2_grpc.ConsentServiceStub))
    finally:
        await shop.close()
        await office.close()


async def revive(rig: PrivacyRig, *failpoints: str, asked: str) -> None:
    """Wait until a failpoint has killed the service, and start it with these; people do their part meanwhile."""
    async with open_privacy_desk(rig) as desk:

        async def killed() -> bool:
            with contextlib.suppress(RemoteError):
                await desk.look_in_the_cellar(await desk.get(asked))
            return not rig.service.is_running

        await eventually(killed, _PATIENCE_S, _LOOK_S)
    await asyncio.to_thread(rig.service.wait_killed)
    rig.service.arm(*failpoints)
    await asyncio.to_thread(rig.service.start)
