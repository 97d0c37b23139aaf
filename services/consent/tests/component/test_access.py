"""Who gets in: by certificate, by permission, and with a person behind the call where the contract asks for one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from consent_desk import DECLARED, OFFICE, OFFICER, SHOP, Desk, answers, entry, open_desk, profile, request_id
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import message_factory
from rapport.common.v1 import access_pb2
from rapport.consent.v1 import consent_pb2, consent_pb2_grpc, purpose_pb2, purpose_pb2_grpc
from rapport_chassis.auth.actor_tokens import mint
from rapport_chassis.auth.certificates import thumbprint_of
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.installation import Installation
from rapport_testing.pki import IssuedFiles, LocalAuthority
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

SERVICES = {
    descriptor.name: descriptor
    for descriptor in (
        consent_pb2.DESCRIPTOR.services_by_name["ConsentService"],
        purpose_pb2.DESCRIPTOR.services_by_name["PurposeService"],
    )
}
METHODS = [(service, method.name) for service, each in SERVICES.items() for method in each.methods]
HUMAN = [
    (service, method)
    for service, method in METHODS
    if SERVICES[service].methods_by_name[method].GetOptions().Extensions[access_pb2.access].human
]


async def call(installation: Installation, caller: str, service: str, method: str, token: str | None = None) -> Any:
    """Call a method with an empty request: who may not is told so before what is asked is looked at."""
    stubs: dict[str, Any] = {
        "ConsentService": consent_pb2_grpc.ConsentServiceStub,
        "PurposeService": purpose_pb2_grpc.PurposeServiceStub,
    }
    described = SERVICES[service].methods_by_name[method]
    request = message_factory.GetMessageClass(described.input_type)()
    client = installation.client(caller)
    try:
        bound = getattr(client.stub(stubs[service], actor_token=token), method)
        if described.client_streaming:

            async def nothing_yet() -> AsyncIterator[Any]:
                # A refusal that meets a message on its way is lost in gRPC's core, which then tells INTERNAL instead.
                await asyncio.Event().wait()
                yield request

            return [answer async for answer in bound(nothing_yet())]
        if described.server_streaming:
            return [answer async for answer in bound(request)]
        return await bound(request)
    finally:
        await client.close()


async def known(installation: Installation, caller: str) -> None:
    """Wait until the service has read that there is such a caller."""

    async def is_known() -> bool:
        try:
            await call(installation, caller, "ConsentService", "CheckConsent")
        except RemoteError as error:
            return error.reason.name != "CALLER_UNKNOWN"
        return True

    await eventually(is_known)


@asynccontextmanager
async def channel_with(installation: Installation, files: IssuedFiles | None) -> AsyncIterator[grpc.aio.Channel]:
    authorities = installation.certificate(SHOP).authorities.read_bytes()
    key, certificate = (files.key.read_bytes(), files.certificate.read_bytes()) if files else (None, None)
    credentials = grpc.ssl_channel_credentials(authorities, key, certificate)
    async with grpc.aio.secure_channel(installation.address(), credentials) as channel:
        yield channel


@pytest.mark.parametrize("what", ["no certificate", "expired", "foreign authority"])
async def test_handshake_fails_without_a_certificate_of_this_installation(
    installation: Installation, tmp_path: Path, what: str
) -> None:
    files = None
    if what == "expired":
        files = installation.authority.issue("late", not_after=datetime.now(UTC) - timedelta(minutes=1))
    if what == "foreign authority":
        files = LocalAuthority(tmp_path / "elsewhere").issue(SHOP)
    async with channel_with(installation, files) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await consent_pb2_grpc.ConsentServiceStub(channel).GetLedgerHead(
                consent_pb2.GetLedgerHeadRequest(), timeout=10
            )
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("uris", "reason"),
    [
        (["spiffe://rapport.local/nobody"], "CALLER_UNKNOWN"),
        (["spiffe://elsewhere.example/shop"], "CALLER_UNKNOWN"),
        (["spiffe://rapport.local/shop/"], "CALLER_UNKNOWN"),
        ([], "CERTIFICATE_MISSING"),
        (["spiffe://rapport.local/shop", "spiffe://rapport.local/office"], "CERTIFICATE_MISSING"),
    ],
)
async def test_certificate_with_another_name_is_refused(
    installation: Installation, uris: list[str], reason: str
) -> None:
    installation.authority.issue("nobody", uris=uris)
    with refused(reason) as caught:
        await call(installation, "nobody", "ConsentService", "CheckConsent")
    assert caught.value.reason.code == "UNAUTHENTICATED"


@pytest.mark.parametrize(("service", "method"), METHODS)
async def test_every_method_asks_for_its_permission(installation: Installation, service: str, method: str) -> None:
    needed = SERVICES[service].methods_by_name[method].GetOptions().Extensions[access_pb2.access].permission
    others = {
        m.GetOptions().Extensions[access_pb2.access].permission for each in SERVICES.values() for m in each.methods
    }
    caller = f"all-but-{needed.replace('.', '-')}"
    installation.grant(caller, sorted(others - {needed}))
    await known(installation, caller)
    with refused("PERMISSION_DENIED") as caught:
        await call(installation, caller, service, method)
    assert caught.value.metadata == {"permission": needed}


@pytest.mark.parametrize(("service", "method"), HUMAN)
async def test_human_methods_ask_for_a_person(installation: Installation, service: str, method: str) -> None:
    with refused("ACTOR_TOKEN_MISSING"):
        await call(installation, OFFICE, service, method)


def unsigned(installation: Installation) -> str:
    return jwt.encode({"sub": "officer-1", "aud": "consent"}, key=None, algorithm="none")  # type: ignore[arg-type]


def foreign(installation: Installation) -> str:
    secret = jwt.algorithms.OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate(), as_dict=True)
    now = datetime.now(UTC)
    return mint(
        jwt.PyJWK({**secret, "kid": "test-key", "alg": "EdDSA"}),
        issuer="test",
        audience="consent",
        subject="officer-1",
        roles=[OFFICER],
        auth_time=now,
        thumbprint=thumbprint_of(installation.certificate(OFFICE).certificate),
        now=now,
    )


def of(caller: str = OFFICE, roles: tuple[str, ...] = (OFFICER,), **claims: Any) -> Any:
    return lambda installation: installation.actor_token(caller, roles=roles, **claims)


NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("make", "reason", "code"),
    [
        (lambda _: "officer-1", "ACTOR_TOKEN_INVALID", "UNAUTHENTICATED"),
        (unsigned, "ACTOR_TOKEN_INVALID", "UNAUTHENTICATED"),
        (foreign, "ACTOR_TOKEN_INVALID", "UNAUTHENTICATED"),
        (of(audience="pricing"), "ACTOR_TOKEN_INVALID", "UNAUTHENTICATED"),
        (of(issuer="elsewhere"), "ACTOR_TOKEN_INVALID", "UNAUTHENTICATED"),
        (of(lifetime=timedelta(hours=1)), "ACTOR_TOKEN_INVALID", "UNAUTHENTICATED"),
        (of(now=NOW - timedelta(minutes=10)), "ACTOR_TOKEN_EXPIRED", "UNAUTHENTICATED"),
        (of(caller=SHOP), "ACTOR_TOKEN_REPLAYED", "UNAUTHENTICATED"),
        (of(roles=("analyst",)), "ACTOR_PERMISSION_DENIED", "PERMISSION_DENIED"),
        (of(roles=()), "ACTOR_PERMISSION_DENIED", "PERMISSION_DENIED"),
    ],
    ids=["bare", "unsigned", "forged", "audience", "issuer", "too long", "expired", "replayed", "role", "no role"],
)
async def test_token_that_shows_no_officer_here_and_now_is_refused(
    desk: Desk, make: Any, reason: str, code: str
) -> None:
    installation, person, before = desk.installation, profile(), await desk.head()
    installation.grant_role("analyst", ["consent.ledger.read"])
    client = installation.client(OFFICE)
    try:
        stub = client.stub(consent_pb2_grpc.ConsentServiceStub, actor_token=make(installation))
        request = consent_pb2.PlaceRestrictionRequest(request_id=request_id(), profile_id=person, ground="CLAIMS")
        with refused(reason) as caught:
            await stub.PlaceRestriction(request)
        assert caught.value.reason.code == code
    finally:
        await client.close()
    assert (await desk.head()).position == before.position
    assert await desk.verdict(person, "order") == "PERMIT BASIS"


async def test_permission_of_the_officer_alone_is_not_enough(desk: Desk) -> None:
    """Both must hold it: the certificate and the person."""
    installation = desk.installation
    client = installation.client(SHOP)
    try:
        token = installation.actor_token(SHOP, roles=[OFFICER])
        stub = client.stub(purpose_pb2_grpc.PurposeServiceStub, actor_token=token)
        request = purpose_pb2.RetirePurposeRequest(request_id=request_id(), purpose_id="promo", reason="mine")
        with refused("PERMISSION_DENIED"):
            await stub.RetirePurpose(request)
    finally:
        await client.close()


async def test_permission_taken_away_is_gone_without_a_restart(desk: Desk) -> None:
    installation = desk.installation
    installation.grant("guest", ["consent.checks.read"])
    client = installation.client("guest")
    stub = client.stub(consent_pb2_grpc.ConsentServiceStub)
    request = consent_pb2.CheckConsentRequest(entry=entry(profile(), "order"))

    async def outcome() -> str:
        try:
            await stub.CheckConsent(request)
        except RemoteError as error:
            return error.reason.name
        return "OK"

    async def becomes(wanted: str) -> bool:
        return await outcome() == wanted

    try:
        await eventually(lambda: becomes("OK"))
        installation.grant("guest", ["consent.receipts.read"])
        await eventually(lambda: becomes("PERMISSION_DENIED"))
    finally:
        await client.close()


async def test_declared_evidence_is_refused_where_real_people_are_served(installation: Installation) -> None:
    """The only difference is the setting; the servers are the same."""
    production = installation.process("production", environment="production")
    try:
        await asyncio.to_thread(production.start)
        async with open_desk(installation, process="production") as desk:
            await desk.until_serving("api")
            with refused("EVIDENCE_DECLARED_REFUSED", "evidence.declared"):
                await desk.shop.RecordConsent(answers(profile(), "yes promo", evidence=DECLARED))
            await desk.shop.RecordConsent(answers(profile(), "yes promo"))
    finally:
        await asyncio.to_thread(production.kill)
