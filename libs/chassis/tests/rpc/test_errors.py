"""What callers learn from an error, and what they never learn."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from rapport_chassis.errors import CHASSIS_ERRORS, ErrorTable, FieldViolation, RapportError, Reason, Resource
from rapport_chassis.rpc.status import TRAILER, RemoteError, encode
from rapport_testing.capture import assert_absent
from rapport_testing.waiting import eventually

CANARY = "zoë.canary@example.org"
ERRORS = ErrorTable(
    "probe.rapport",
    [
        Reason("PROFILE_ERASED", "NOT_FOUND", False, "The person was erased."),
        Reason("TOO_EARLY", "ABORTED", True, "Not yet."),
    ],
)


def raising(error: Exception) -> Any:
    async def behaviour(request: Any, context: Any) -> Any:
        raise error

    return behaviour


async def test_an_error_arrives_with_all_it_says(probe: Any) -> None:
    probe.servicer.behaviours["Answer"] = raising(
        ERRORS.error(
            "TOO_EARLY",
            "wait for prf_1",
            fields=[FieldViolation("entries[2].name", "must be later")],
            metadata={"profile": "prf_1"},
            retry_after_s=1.5,
            resource=Resource("profile", "prf_1"),
        )
    )
    with pytest.raises(RemoteError) as caught:
        await probe.stub().Answer(probe.new())
    error = caught.value
    assert (error.reason.name, error.reason.code, error.domain) == ("TOO_EARLY", "ABORTED", "probe.rapport")
    assert error.message == "wait for prf_1"
    assert error.metadata == {"profile": "prf_1"}
    assert error.fields == (FieldViolation("entries[2].name", "must be later"),)
    assert (error.retry_after_s, error.resource) == (1.5, Resource("profile", "prf_1"))
    assert error.reason.retryable


async def test_a_foreign_client_finds_the_standard_details_and_the_trace_id(probe: Any) -> None:
    probe.servicer.behaviours["Answer"] = raising(ERRORS.error("PROFILE_ERASED", "gone"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await probe.raw("Answer")(b"", metadata=(("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01"),))
    status = status_pb2.Status.FromString(dict(caught.value.trailing_metadata() or ())[TRAILER])
    assert status.code == grpc.StatusCode.NOT_FOUND.value[0]
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.RequestInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(request)
    assert (info.reason, info.domain, request.request_id) == ("PROFILE_ERASED", "probe.rapport", "ab" * 16)


async def test_an_unknown_exception_is_internal_and_its_text_goes_nowhere(probe: Any) -> None:
    probe.servicer.behaviours["Answer"] = raising(KeyError(CANARY))
    with pytest.raises(RemoteError) as caught:
        await probe.stub().Answer(probe.new())
    error = caught.value
    assert (error.reason.name, error.message) == ("INTERNAL", "internal error")
    (line,) = [json.loads(line) for line in probe.log.getvalue().splitlines() if "call_failed" in line]
    assert line["error"] == "KeyError"
    assert line["trace_id"] == error.trace_id
    assert line["method"] == "rapport.probe.v1.ProbeService/Answer"
    assert line["caller"] == "spiffe://rapport.local/caller"
    spans = "".join(span.to_json() for span in probe.spans.get_finished_spans())
    assert_absent(CANARY, probe.log.getvalue(), spans, str(error), repr(error.__dict__))


async def test_the_server_span_of_a_failed_call_says_its_reason(probe: Any) -> None:
    probe.servicer.behaviours["Answer"] = raising(ERRORS.error("PROFILE_ERASED", "gone"))
    with pytest.raises(RemoteError):
        await probe.stub().Answer(probe.new())
    for span in probe.spans.get_finished_spans():
        assert span.attributes["rpc.response.status_code"] == "NOT_FOUND"
        assert span.attributes["error.type"] == "PROFILE_ERASED"
        assert not span.status.is_ok
        assert not span.events


async def collect(answers: Any, into: list[str]) -> None:
    """Keep what arrives before the stream fails."""
    async for answer in answers:
        into.append(answer.text)  # noqa: PERF401 - a comprehension would lose what came before the error


async def test_an_error_in_the_midst_of_a_stream_follows_what_was_sent(probe: Any) -> None:
    async def two_then_fail(request: Any, context: Any) -> Any:
        yield probe.new(text="1")
        yield probe.new(text="2")
        raise ERRORS.error("TOO_EARLY", "later")

    probe.servicer.behaviours["Expand"] = two_then_fail
    received: list[str] = []
    with pytest.raises(RemoteError, match="TOO_EARLY"):
        await collect(probe.stub().Expand(probe.new()), received)
    assert received == ["1", "2"]


async def test_a_handler_may_abort_by_itself(probe: Any) -> None:
    async def abort(request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.OUT_OF_RANGE, "beyond")

    probe.servicer.behaviours["Answer"] = abort
    with pytest.raises(RemoteError) as caught:
        await probe.stub().Answer(probe.new())
    assert (caught.value.reason.code, caught.value.message) == ("OUT_OF_RANGE", "beyond")
    assert "call_failed" not in probe.log.getvalue()


async def test_a_cancelled_call_ends_the_handler_and_is_recorded_as_cancelled(probe: Any) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def wait(request: Any, context: Any) -> Any:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    probe.servicer.behaviours["Answer"] = wait
    call = asyncio.create_task(probe.stub().Answer(probe.new()))
    await began.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(ended.wait(), 10)
    server = await eventually(lambda: [s for s in probe.spans.get_finished_spans() if s.kind.name == "SERVER"])
    assert server[0].attributes["rpc.response.status_code"] == "CANCELLED"


@pytest.mark.parametrize(("retryable", "expected"), [(True, "NOT_READY"), (False, "INTERNAL")])
async def test_what_a_dependency_refuses_is_not_blamed_on_our_caller(
    probe: Any, retryable: bool, expected: str
) -> None:
    refused = RemoteError(Reason("DENIED_THERE", "PERMISSION_DENIED", retryable, "x"), "other.rapport", CANARY)
    probe.servicer.behaviours["Answer"] = raising(refused)
    with pytest.raises(RemoteError) as caught:
        await probe.stub().Answer(probe.new())
    assert caught.value.reason.name == expected
    assert_absent(CANARY, str(caught.value), probe.log.getvalue() + " ")


async def test_an_unknown_method_is_refused_with_a_reason(probe: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await probe.raw("NoSuchMethod")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert b"METHOD_UNKNOWN" in dict(caught.value.trailing_metadata() or ())[TRAILER]


async def test_an_unreachable_server_is_a_typed_error(probe: Any) -> None:
    await probe.server.stop()
    with pytest.raises(RemoteError) as caught:
        await probe.stub().Write(probe.new())
    assert (caught.value.reason.name, caught.value.reason.retryable) == ("UNAVAILABLE", True)


def test_details_never_outgrow_what_clients_accept() -> None:
    fields = [FieldViolation(f"entries[{index}].profile_id", "does not match regex " * 20) for index in range(1000)]
    error = CHASSIS_ERRORS.error("INVALID_REQUEST", "m" * 5000, fields=fields)
    status = encode(error, "0" * 32)
    assert status.ByteSize() < 5000
    bad_request = error_details_pb2.BadRequest()
    assert status.details[-1].Unpack(bad_request)
    assert 3 < len(bad_request.field_violations) < 1000


@pytest.mark.parametrize("reason", list(CHASSIS_ERRORS), ids=lambda reason: reason.name)
async def test_each_reason_of_the_chassis_survives_the_wire(probe: Any, reason: Reason) -> None:
    probe.servicer.behaviours["Answer"] = raising(RapportError(reason, "chassis.rapport", "m", retry_after_s=0.25))
    with pytest.raises(RemoteError) as caught:
        await probe.client(max_attempts=1).stub(probe.contract.stub).Answer(probe.new())
    assert (caught.value.reason.name, caught.value.reason.code) == (reason.name, reason.code)
