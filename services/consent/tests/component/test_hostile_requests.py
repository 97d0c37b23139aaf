"""Requests that nobody means well: each gets a typed answer, and nothing of what it held is left anywhere."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from consent_desk import (
    CAPTURED,
    OFFICE,
    Desk,
    ago,
    answers,
    entry,
    open_desk,
    profile,
    request_id,
    terms,
)
from consent_events import DEAD_LETTERS
from consent_imports import header, row
from google.protobuf.message import Message
from rapport.consent.v1 import consent_pb2, purpose_pb2
from rapport_chassis.auth.actor_tokens import METADATA_KEY
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.ids import new_id
from rapport_chassis.rpc.status import RemoteError, decode
from rapport_chassis.rpc.tls import TlsMaterial, client_credentials
from rapport_chassis.times import stamp
from rapport_consent.domain.errors import ERRORS
from rapport_testing.capture import TelemetryCapture, assert_absent
from rapport_testing.installation import Installation, tls_files
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

CANARIES = {
    "plain": "kim.canary@example.com",
    "control characters": "kim\r\n\x00\x1b[31mcanary\u202e\u2028",
    "huge": "kim-canary-" + "x" * 300_000,
    "markup": "<script>kimcanary</script>{{7*7}}';DROP TABLE ledger;--",
}
TYPED = {reason.name for table in (CHASSIS_ERRORS, ERRORS) for reason in table} - {"INTERNAL", "UNAVAILABLE"}
CONSENT = "/rapport.consent.v1.ConsentService"


def requests() -> dict[str, Message]:
    """A sound request of every method with one."""
    person, now = profile(), stamp(ago(days=1))
    common: dict[str, Any] = {"request_id": request_id(), "profile_id": person}
    authored: dict[str, Any] = {"request_id": request_id(), "purpose_id": "promo", "reason": "approved"}
    rules = terms(brand_ids=["north"], markets=["DE"])
    rules.bases[0].data_category, rules.bases[0].market = "contact", "DE"
    notice: dict[str, Any] = {"notice_id": "hostile", "locale": "de", "purpose_ids": ["promo"], "brand_id": "north"}
    return {
        "RecordConsent": answers(person, "yes news north", market="DE"),
        "WithdrawConsent": consent_pb2.WithdrawConsentRequest(**common, purpose_ids=["news"], brand_id="north"),
        "RecordObjection": consent_pb2.RecordObjectionRequest(**common, purpose_ids=["news"], brand_id="north"),
        "RecordSignal": consent_pb2.RecordSignalRequest(**common, sec_gpc="1", brand_id="north"),
        "PlaceRestriction": consent_pb2.PlaceRestrictionRequest(**common, ground="CLAIMS"),
        "LiftRestriction": consent_pb2.LiftRestrictionRequest(**common, subject_told_at=now),
        "RaiseFence": consent_pb2.RaiseFenceRequest(**common, privacy_request_id=new_id("privacy_request")),
        "CheckConsent": consent_pb2.CheckConsentRequest(
            entry=entry(person, "news", "north", market="DE", data_category="contact")
        ),
        "BatchCheckConsent": consent_pb2.BatchCheckConsentRequest(entries=[entry(person, "news", "north")]),
        "GetConsentState": consent_pb2.GetConsentStateRequest(profile_id=person),
        "ListConsentEvents": consent_pb2.ListConsentEventsRequest(epoch="another"),
        "DecideRestore": consent_pb2.DecideRestoreRequest(
            request_id=request_id(), restored_at=now, decision=consent_pb2.RESTORE_DECISION_COUNT, reason="approved"
        ),
        "GetReceipt": consent_pb2.GetReceiptRequest(receipt_id="rcp_" + "0" * 22),
        "UpsertPurpose": purpose_pb2.UpsertPurposeRequest(
            request_id=request_id(), purpose_id=f"own.{request_id()}", terms=rules
        ),
        "ActivatePurpose": purpose_pb2.ActivatePurposeRequest(**authored, version=99),
        "RetirePurpose": purpose_pb2.RetirePurposeRequest(**{**authored, "purpose_id": "nothing.such"}),
        "ListPurposes": purpose_pb2.ListPurposesRequest(purpose_id="promo", page_token="none"),
        "PublishNotice": purpose_pb2.PublishNoticeRequest(
            request_id=request_id(), text="Text", reason="approved", **notice
        ),
        "GetNotice": purpose_pb2.GetNoticeRequest(notice_id="welcome", locale="de"),
    }


def spoiled(request: Message, canary: str) -> Iterator[Message]:
    """The request once for each of its texts, that one replaced."""
    for owner, field in texts(request, ()):
        copy = type(request)()
        copy.CopyFrom(request)
        target: Any = copy
        for step in owner:
            target = target[step] if isinstance(step, int) else getattr(target, step)
        if field.is_repeated:
            getattr(target, field.name)[0] = canary
        else:
            setattr(target, field.name, canary)
        yield copy


def texts(message: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            yield path, field
        elif field.type == field.TYPE_MESSAGE and field.is_repeated:
            yield from texts(value[0], (*path, field.name, 0))
        elif field.type == field.TYPE_MESSAGE:
            yield from texts(value, (*path, field.name))


async def outcome(call: Any, request: Message, metadata: Any = ()) -> RemoteError | None:
    try:
        await call(request, metadata=metadata)
    except RemoteError as error:
        return error
    return None


async def test_no_text_of_a_request_is_left_in_errors_logs_spans_metrics_or_dead_letters(
    installation: Installation, telemetry_capture: TelemetryCapture
) -> None:
    folder = installation.folder / "hostile"
    process = installation.process("hostile", telemetry__folder=str(folder))
    try:
        await asyncio.to_thread(process.start)
        async with open_desk(installation, process="hostile", telemetry=telemetry_capture.telemetry) as desk:
            await desk.until_serving("api")
            for canary in CANARIES.values():
                assert await spoil_every_text(desk, canary) >= 35
            for metadata in ((METADATA_KEY, "x" * 100 + "kimcanary"), ("traceparent", "kimcanary"), ("kimcanary", "1")):
                request = consent_pb2.CheckConsentRequest(entry=entry(profile(), "order"))
                error = await outcome(desk.office.CheckConsent, request, (metadata,))
                assert error is None or error.reason.name in TYPED
        drop_metrics(folder)
        metrics = await eventually(lambda: metrics_in(folder), timeout_s=30)
        assert b"RecordConsent" in metrics
    finally:
        await asyncio.to_thread(process.terminate)
    dead_letters = [message.data for message in await installation.broker().stored(DEAD_LETTERS)]
    spans = [path for path in folder.iterdir() if path.stat().st_size]
    assert spans
    for text in (*map(searched, CANARIES.values()), "kimcanary"):
        assert_absent(text, process.log_path, *spans, metrics, telemetry_capture, *dead_letters)


def searched(canary: str) -> str:
    """What to look for: a part of it, where it would have been cut."""
    return canary[:40]


def drop_metrics(folder: Path) -> None:
    """Throw the figures away: what comes next holds all calls."""
    for path in folder.glob("*.metrics.json"):
        path.unlink()


def metrics_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("*.metrics.json"))


async def spoil_every_text(desk: Desk, canary: str) -> int:
    """Send every request once with each of its texts replaced, and return how many were sent."""
    sent = 0
    for method, request in requests().items():
        stub = desk.purposes if hasattr(desk.purposes, method) else desk.office
        for each in spoiled(request, canary):
            error = await outcome(getattr(stub, method), each)
            sent += 1
            if error is not None:
                assert error.reason.name in TYPED, (method, error)
                told = (error.message, str(error.fields), str(dict(error.metadata)), str(error.resource))
                assert_absent(searched(canary), *(text or " " for text in told))
    with refused("INVALID_REQUEST"):
        await desk.import_rows(header(), [row(1, "promo", "prf_00000000", brand_id=canary)])
    return sent + 1


@asynccontextmanager
async def raw(installation: Installation) -> AsyncIterator[grpc.aio.Channel]:
    """A channel on which any bytes can be sent."""
    material = TlsMaterial.read(tls_files(installation.certificate(OFFICE)))
    options = [("grpc.ssl_target_name_override", "localhost"), ("grpc.max_send_message_length", -1)]
    credentials = client_credentials(material)
    async with grpc.aio.secure_channel(installation.address(), credentials, options=options) as channel:
        yield channel


def nested(depth: int) -> bytes:
    """Groups within groups, of a field that nobody knows."""
    return b"\x9b\x06" * depth + b"\x9c\x06" * depth


def random_bytes(size: int) -> bytes:
    return random.Random(7).randbytes(size)


@pytest.mark.parametrize(
    ("payload", "reasons"),
    [
        (b"\xff\xff\xff\xff", {"REQUEST_MALFORMED"}),
        (random_bytes(5_000), {"REQUEST_MALFORMED"}),
        (b"\x0a\x05\x0a\x03\xff\xfe\xfd", {"REQUEST_MALFORMED"}),
        (b"\x0a\xff\xff\xff\xff\x0f", {"REQUEST_MALFORMED"}),
        (nested(50_000), {"REQUEST_MALFORMED"}),
        (b"", {"INVALID_REQUEST"}),
        (b"\x9a\x06\x04\x0a\x02\x0a\x00", {"INVALID_REQUEST"}),
        (b"x" * (5 * 1024 * 1024), {"MESSAGE_TOO_LARGE"}),
    ],
    ids=["noise", "random", "no UTF-8", "length beyond the end", "deep", "empty", "unknown field", "oversized"],
)
async def test_bytes_that_are_no_request_get_a_typed_error(
    installation: Installation, payload: bytes, reasons: set[str]
) -> None:
    async with raw(installation) as channel:
        call = channel.unary_unary(f"{CONSENT}/CheckConsent")  # type: ignore[var-annotated]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(payload, timeout=10)
    assert decode(caught.value).reason.name in reasons


async def test_method_that_does_not_exist_gets_a_typed_error(installation: Installation) -> None:
    async with raw(installation) as channel:
        for path in (f"{CONSENT}/DropLedger", "/rapport.consent.v1.Nothing/Here", "/x"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(path)(b"", timeout=10)  # type: ignore[arg-type]
            assert decode(caught.value).reason.name == "METHOD_UNKNOWN"


async def test_numbers_outside_an_enum_are_refused_by_path(desk: Desk) -> None:
    bad = answers(profile(), "yes promo")
    bad.items[0].choice = 99  # type: ignore[assignment] # as a caller of a later release might
    with refused("INVALID_REQUEST", "items[0].choice"):
        await desk.shop.RecordConsent(bad)
    bad = answers(profile(), "yes promo")
    bad.evidence.CopyFrom(CAPTURED)
    bad.evidence.captured.method = 99  # type: ignore[assignment] # as above
    with refused("INVALID_REQUEST", "evidence.captured.method"):
        await desk.shop.RecordConsent(bad)
    check = consent_pb2.CheckConsentRequest(entry=entry(profile(), "order"), consistency=99)  # type: ignore[arg-type] # as above
    with refused("INVALID_REQUEST", "consistency"):
        await desk.shop.CheckConsent(check)
    with refused("INVALID_REQUEST", "terms.bases[0].basis"):
        await desk.draft(f"own.{request_id()}", terms(99))  # type: ignore[arg-type] # as above


async def test_times_and_numbers_beyond_all_measure_are_refused(desk: Desk) -> None:
    for seconds in (10**15, -(10**15), 253402300800):
        request = answers(profile(), "yes promo")
        request.occurred_at.seconds = seconds
        with pytest.raises(RemoteError) as caught:
            await desk.shop.RecordConsent(request)
        assert caught.value.reason.name in TYPED, seconds
        state = consent_pb2.GetConsentStateRequest(profile_id=profile())
        state.as_of.seconds = seconds
        error = await outcome(desk.shop.GetConsentState, state)
        assert error is None or error.reason.name in TYPED, seconds
    listed = consent_pb2.ListConsentEventsRequest(after_position=2**64 - 1)
    error = await outcome(desk.shop.ListConsentEvents, listed)
    assert error is None or error.reason.name in TYPED
    check = consent_pb2.CheckConsentRequest(entry=entry(profile(), "order"), at_least=await desk.head())
    check.at_least.position = 2**64 - 1
    assert (await desk.shop.CheckConsent(check)).reason == consent_pb2.DECISION_REASON_TOKEN_UNMET
    version = purpose_pb2.GetNoticeRequest(notice_id="welcome", version=2**32 - 1, locale="de")
    error = await outcome(desk.purposes.GetNotice, version)
    assert error is not None
    assert error.reason.name in TYPED
    recorded = answers(profile(), "yes promo", notice_version=2**32 - 1)
    error = await outcome(desk.shop.RecordConsent, recorded)
    assert error is not None
    assert error.reason.name in TYPED
    rules = terms()
    rules.expires_after.seconds = 315_576_000_000
    drafted = f"own.{request_id()}"
    error = await outcome(
        desk.purposes.UpsertPurpose,
        purpose_pb2.UpsertPurposeRequest(request_id=request_id(), purpose_id=drafted, terms=rules),
    )
    if error is None:
        await desk.activate(drafted)
        await desk.publish(drafted, "Text", drafted)
        error = await outcome(desk.shop.RecordConsent, answers(profile(), f"yes {drafted}", notice_id=drafted))
    assert error is None or error.reason.name in TYPED


async def test_lists_above_their_limits_are_refused_by_path(desk: Desk) -> None:
    with refused("INVALID_REQUEST", "items"):
        await desk.answer(profile(), *["no promo"] * 51)
    with refused("INVALID_REQUEST", "entries"):
        await desk.shop.BatchCheckConsent(
            consent_pb2.BatchCheckConsentRequest(entries=[entry(profile(), "order")] * 1001)
        )
    with refused("INVALID_REQUEST", "purpose_ids"):
        await desk.withdraw(profile(), *(f"purpose-{number}" for number in range(101)))
    with refused("INVALID_REQUEST", "request_id"):
        await desk.answer(profile(), "yes promo", request_id="1")


async def test_flood_is_turned_away_and_told_when_to_come_back(installation: Installation) -> None:
    process = installation.process("narrow", grpc__max_in_flight="2", database__pool_max="2")
    try:
        await asyncio.to_thread(process.start)
        async with open_desk(installation, process="narrow") as desk:
            await desk.until_serving("api")
            calls = [outcome(desk.shop.RecordConsent, answers(profile(), "yes promo")) for _ in range(60)]
            errors = [error for error in await asyncio.gather(*calls) if error is not None]
            assert {error.reason.name for error in errors} == {"OVERLOADED"}
            assert all(error.retry_after_s for error in errors)
            assert await desk.readiness("api") == "SERVING"
            await desk.answer(profile(), "yes promo")
    finally:
        await asyncio.to_thread(process.kill)
