"""The consent service as its callers have it: short words for long requests, through the public client alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import rapport_consent
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rapport.common.v1 import freshness_pb2
from rapport.consent.v1 import consent_pb2, consent_pb2_grpc, ledger_pb2, purpose_pb2, purpose_pb2_grpc
from rapport_chassis.events import topology
from rapport_chassis.ids import new_id
from rapport_chassis.rpc.client import Client
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.telemetry.setup import Telemetry
from rapport_chassis.times import stamp
from rapport_testing.installation import Installation, TestedService
from rapport_testing.waiting import eventually

CONSENT = TestedService(
    "consent",
    migrations=Path(rapport_consent.__file__).with_name("migrations"),
    topology=topology.DECLARED,
    settings={"SIGNING_FOLDER": "{folder}"},
    gates=("sender", "caller", "printer"),
)
SHOP = "shop"
OFFICE = "office"
OFFICER = "officer"
ROLES = ("api", "events", "relay")
_LOOK_EVERY_S = 0.05

REASK = timedelta(days=180)
LASTING = timedelta(days=365)
_CONSENT = purpose_pb2.LEGAL_BASIS_CONSENT


def terms(basis: purpose_pb2.LegalBasis.ValueType = _CONSENT, **fields: Any) -> purpose_pb2.PurposeTerms:
    """Terms with one basis for all categories and markets."""
    durations = {name: fields.pop(name) for name in ("expires_after", "reask_after") if name in fields}
    made = purpose_pb2.PurposeTerms(bases=[purpose_pb2.BasisRule(basis=basis)], **fields)
    for name, duration in durations.items():
        getattr(made, name).FromTimedelta(duration)
    return made


PURPOSES = {
    "news": terms(brand_scoped=True, direct_marketing=True, brand_ids=["north", "south"], reask_after=REASK),
    "promo": terms(direct_marketing=True),
    "stats": terms(signals=[purpose_pb2.SIGNAL_KIND_GPC], expires_after=LASTING, reask_after=REASK),
    "health": terms(separate=True, explicit=True),
    "mail": terms(double_opt_in=True),
    "order": terms(purpose_pb2.LEGAL_BASIS_CONTRACT),
    "books": terms(purpose_pb2.LEGAL_BASIS_LEGAL_OBLIGATION, despite_restriction=True),
    "fraud": terms(purpose_pb2.LEGAL_BASIS_LEGITIMATE_INTEREST),
}
"""What every tested installation knows; a test that changes a purpose makes one of its own."""

CAPTURED = consent_pb2.Evidence(
    captured=consent_pb2.CapturedEvidence(surface="checkout/step-2", method=consent_pb2.CAPTURE_METHOD_CHECKBOX)
)
DECLARED = consent_pb2.Evidence(declared=consent_pb2.DeclaredEvidence(rule="store-card"))


def ago(**span: float) -> datetime:
    """A time in the past, in whole milliseconds."""
    now = datetime.now(UTC) - timedelta(**span)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def profile() -> str:
    """A person of whom nothing is known."""
    return new_id("profile")


def request_id() -> str:
    """A request id that was never used."""
    return str(uuid4())


def answers(
    profile_id: str, *items: str, at: datetime | None = None, **fields: Any
) -> consent_pb2.RecordConsentRequest:
    """What a person answered, in words such as "yes news north" or "no stats"."""
    request = consent_pb2.RecordConsentRequest(
        request_id=fields.pop("request_id", None) or request_id(),
        profile_id=profile_id,
        **{"evidence": CAPTURED, "notice_id": "welcome", "notice_version": 1, "locale": "de", **fields},
    )
    for item in items:
        choice, purpose_id, *brand = item.split()
        request.items.add(
            purpose_id=purpose_id,
            brand_id="".join(brand),
            choice=consent_pb2.CONSENT_CHOICE_GRANT if choice == "yes" else consent_pb2.CONSENT_CHOICE_REFUSE,
        )
    if at is not None:
        request.occurred_at.CopyFrom(stamp(at))
    return request


def withdrawal(profile_id: str, *purposes: str, brand: str = "", **fields: Any) -> consent_pb2.WithdrawConsentRequest:
    """A withdrawal from these purposes, or from all that rests on consent."""
    named = fields.pop("request_id", None) or request_id()
    return consent_pb2.WithdrawConsentRequest(
        request_id=named, profile_id=profile_id, purpose_ids=purposes, brand_id=brand, **fields
    )


def entry(profile_id: str, purpose: str, brand: str = "", **fields: str) -> consent_pb2.CheckEntry:
    """What one check asks."""
    return consent_pb2.CheckEntry(profile_id=profile_id, purpose_id=purpose, brand_id=brand, **fields)


def verdict(decision: consent_pb2.Decision) -> str:
    """Answer and reason, such as "PERMIT GRANTED"."""
    answer = consent_pb2.Answer.Name(decision.answer).removeprefix("ANSWER_")
    reason = consent_pb2.DecisionReason.Name(decision.reason).removeprefix("DECISION_REASON_")
    return f"{answer} {reason}"


async def throughout(span_s: float, look: Callable[[], Awaitable[None]]) -> None:
    """Have what `look` asserts hold for a time: it is asked now and then, not as fast as it can answer."""
    ends_at = time.monotonic() + span_s
    while time.monotonic() < ends_at:
        await look()
        await asyncio.sleep(_LOOK_EVERY_S)


@dataclass(frozen=True)
class Desk:
    """A place from which the service is called: by a shop, and by an officer who is a person.

    Attributes:
        installation: Where the service runs.
        shop: Calls with the certificate of a service.
        office: Calls with that of an office and the token of an officer.
        purposes: Authors purposes and notices, from the office.
        health: Asks for readiness.
        officer: Calls with the certificate of the office; who logs in again does so with it.
    """

    installation: Installation
    shop: consent_pb2_grpc.ConsentServiceAsyncStub
    office: consent_pb2_grpc.ConsentServiceAsyncStub
    purposes: purpose_pb2_grpc.PurposeServiceAsyncStub
    health: health_pb2_grpc.HealthAsyncStub  # type: ignore[name-defined]
    officer: Client

    def logged_in_again(self) -> Desk:
        """This desk with a new token: one is good for five minutes."""
        token = self.installation.actor_token(OFFICE, roles=[OFFICER])
        return replace(
            self,
            office=self.officer.stub(consent_pb2_grpc.ConsentServiceStub, actor_token=token),
            purposes=self.officer.stub(purpose_pb2_grpc.PurposeServiceStub, actor_token=token),
        )

    async def answer(self, profile_id: str, *items: str, **fields: Any) -> consent_pb2.LedgerWrite:
        """Record what a person answered."""
        return await self.shop.RecordConsent(answers(profile_id, *items, **fields))

    async def withdraw(self, profile_id: str, *purposes: str, **fields: Any) -> consent_pb2.LedgerWrite:
        """Take consent back."""
        return await self.shop.WithdrawConsent(withdrawal(profile_id, *purposes, **fields))

    async def object_to(self, profile_id: str, *purposes: str, brand: str = "") -> consent_pb2.LedgerWrite:
        """Object to purposes, or to direct marketing as a whole."""
        return await self.shop.RecordObjection(
            consent_pb2.RecordObjectionRequest(
                request_id=request_id(),
                profile_id=profile_id,
                purpose_ids=purposes,
                direct_marketing=not purposes,
                brand_id=brand,
            )
        )

    async def fence(self, profile_id: str) -> consent_pb2.LedgerWrite:
        """Erase a person, as an officer does."""
        return await self.office.RaiseFence(
            consent_pb2.RaiseFenceRequest(
                request_id=request_id(), profile_id=profile_id, privacy_request_id=new_id("privacy_request")
            )
        )

    async def check(
        self,
        profile_id: str,
        purpose: str,
        brand: str = "",
        *,
        at_least: freshness_pb2.LedgerPosition | None = None,
        authority: bool = False,
        **fields: str,
    ) -> consent_pb2.Decision:
        """Ask whether an effect is allowed; with a token, as soon as the answer knows that write."""
        consistency = consent_pb2.CONSISTENCY_AUTHORITY if authority else consent_pb2.CONSISTENCY_BOUNDED
        request = consent_pb2.CheckConsentRequest(
            entry=entry(profile_id, purpose, brand, **fields), at_least=at_least, consistency=consistency
        )

        async def known() -> consent_pb2.Decision | None:
            decision = await self.shop.CheckConsent(request)
            return None if decision.reason == consent_pb2.DECISION_REASON_TOKEN_UNMET else decision

        return await eventually(known)

    async def verdict(self, profile_id: str, purpose: str, brand: str = "", **fields: Any) -> str:
        """Answer and reason of a check that knows all that was written before it."""
        fields.setdefault("at_least", await self.head())
        return verdict(await self.check(profile_id, purpose, brand, **fields))

    async def head(self) -> freshness_pb2.LedgerPosition:
        """The head of the ledger."""
        return (await self.shop.GetLedgerHead(consent_pb2.GetLedgerHeadRequest())).head

    async def state(self, profile_id: str, **axes: datetime) -> consent_pb2.ConsentState:
        """The state of a person, as of a time and as known at another."""
        times = {name: stamp(moment) for name, moment in axes.items()}
        return await self.shop.GetConsentState(consent_pb2.GetConsentStateRequest(profile_id=profile_id, **times))

    async def changes(self, after: int = 0, *, page: int = 1000) -> list[ledger_pb2.LedgerChange]:
        """Every change after a position."""
        found: list[ledger_pb2.LedgerChange] = []
        while True:
            answer = await self.shop.ListConsentEvents(
                consent_pb2.ListConsentEventsRequest(after_position=after, page_size=page)
            )
            if not answer.changes:
                return found
            found += answer.changes
            after = found[-1].position

    async def import_rows(
        self, header: consent_pb2.ImportHeader, *batches: Sequence[consent_pb2.ImportRow]
    ) -> list[consent_pb2.RecordConsentsResponse]:
        """Import batches and return the answers."""

        async def messages() -> AsyncIterator[consent_pb2.RecordConsentsRequest]:
            yield consent_pb2.RecordConsentsRequest(header=header)
            for rows in batches:
                yield consent_pb2.RecordConsentsRequest(batch=consent_pb2.ImportBatch(rows=rows))

        return [answer async for answer in self.shop.RecordConsents(messages())]

    async def draft(self, purpose_id: str, made: purpose_pb2.PurposeTerms) -> purpose_pb2.Purpose:
        """Draft a version of a purpose."""
        return await self.purposes.UpsertPurpose(
            purpose_pb2.UpsertPurposeRequest(request_id=request_id(), purpose_id=purpose_id, terms=made)
        )

    async def activate(self, purpose_id: str, version: int = 1) -> purpose_pb2.PurposeDecision:
        """Put a version in force."""
        return await self.purposes.ActivatePurpose(
            purpose_pb2.ActivatePurposeRequest(
                request_id=request_id(), purpose_id=purpose_id, version=version, reason="approved"
            )
        )

    async def publish(self, notice_id: str, text: str, *purposes: str, **fields: Any) -> purpose_pb2.Notice:
        """Publish a version of a notice."""
        return await self.purposes.PublishNotice(
            purpose_pb2.PublishNoticeRequest(
                request_id=request_id(),
                notice_id=notice_id,
                text=text,
                purpose_ids=purposes,
                reason="approved",
                **{"locale": "de", **fields},
            )
        )

    async def readiness(self, name: str) -> str:
        """Whether a role or service is ready: "SERVING", "NOT_SERVING", or "UNAVAILABLE" where nobody answers."""
        try:
            answer = await self.health.Check(health_pb2.HealthCheckRequest(service=name))
        except RemoteError as error:
            return error.reason.code
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)

    async def until_serving(self, *names: str) -> None:
        """Wait until these roles are ready."""

        async def serving() -> bool:
            return {name: await self.readiness(name) for name in names} == dict.fromkeys(names, "SERVING")

        await eventually(serving, timeout_s=30)


@asynccontextmanager
async def open_desk(
    installation: Installation,
    *,
    process: str = "service",
    deadline_s: float = 10.0,
    telemetry: Telemetry | None = None,
) -> AsyncIterator[Desk]:
    """Call a process of the service; with telemetry that records traces, the service records its part of them."""
    shop = installation.client(SHOP, process=process, deadline_s=deadline_s, telemetry=telemetry)
    office = installation.client(OFFICE, process=process, deadline_s=deadline_s, telemetry=telemetry)
    token = installation.actor_token(OFFICE, roles=[OFFICER])
    try:
        yield Desk(
            installation,
            shop.stub(consent_pb2_grpc.ConsentServiceStub),
            office.stub(consent_pb2_grpc.ConsentServiceStub, actor_token=token),
            office.stub(purpose_pb2_grpc.PurposeServiceStub, actor_token=token),
            shop.stub(health_pb2_grpc.HealthStub),
            office,
        )
    finally:
        await shop.close()
        await office.close()


def start_installation(folder: Path, *, durable: bool = False, provisioned: bool = True) -> Installation:
    """Start servers for the service, with callers who may what callers usually may."""
    installation = Installation(CONSENT, folder, durable=durable)
    shop_may = ["ledger.*", "checks.read", "receipts.read", "replica.read", "purposes.read"]
    installation.grant(SHOP, [f"consent.{permission}" for permission in shop_may])
    installation.grant(OFFICE, ["consent.*"])
    installation.grant_role(OFFICER, ["consent.*"])
    installation.start(provisioned=provisioned)
    return installation


def furnish(installation: Installation, *, process: str = "service") -> None:
    """Activate the usual purposes, and publish the notice that speaks of them, through a running process."""

    async def author() -> None:
        async with open_desk(installation, process=process) as desk:
            await desk.until_serving(*ROLES)
            for purpose_id, made in PURPOSES.items():
                await desk.draft(purpose_id, made)
                await desk.activate(purpose_id)
            await desk.publish("welcome", "Dürfen wir?", *PURPOSES)

    asyncio.run(author())
