"""What a request must be like, and that a refused one leaves no trace of its content."""

from __future__ import annotations

from typing import Any, Literal

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from protobuf import Oneof
from protovalidate import Validator, Violation
from protovalidate._gen.buf.validate.validate_pb import FieldPath, FieldPathElement
from rapport.consent.v1 import consent_pb2
from rapport_chassis.rpc.middleware.validation import field_path
from rapport_chassis.rpc.status import TRAILER, RemoteError
from rapport_testing.capture import assert_absent

CANARY = "+49 170 5550123, Zoë Kanarienvogel"


def everything_recorded(probe: Any) -> str:
    return str(probe.log.getvalue()) + "".join(span.to_json() for span in probe.spans.get_finished_spans())


async def collect(answers: Any, into: list[str]) -> None:
    """Keep what arrives before the stream fails."""
    async for answer in answers:
        into.append(answer.text)  # noqa: PERF401 - a comprehension would lose what came before the error


async def test_a_broken_rule_is_named_by_path_and_never_by_value(probe: Any) -> None:
    request = probe.new(parts=[probe.new(text="fine"), probe.new(text=CANARY)])
    with pytest.raises(RemoteError) as caught:
        await probe.stub().Answer(request)
    error = caught.value
    assert (error.reason.name, error.reason.code) == ("INVALID_REQUEST", "INVALID_ARGUMENT")
    (violation,) = error.fields
    assert violation.path == "parts[1].text"
    assert "20" in violation.description
    assert_absent(CANARY, everything_recorded(probe), repr(error.__dict__), str(error))


async def test_each_message_of_a_stream_is_checked(probe: Any) -> None:
    async def requests() -> Any:
        yield probe.new(text="fine")
        yield probe.new(text="x" * 21)

    received: list[str] = []
    with pytest.raises(RemoteError, match="INVALID_REQUEST"):
        await collect(probe.stub().Converse(requests()), received)
    assert received == ["fine"]


async def test_bytes_that_are_no_message_are_refused_without_trace(probe: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await probe.raw("Answer")(b"\xff\xff" + CANARY.encode())
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert b"REQUEST_MALFORMED" in dict(caught.value.trailing_metadata() or ())[TRAILER]
    assert_absent(CANARY, everything_recorded(probe), repr(caught.value))


@pytest.mark.parametrize("bytes_sent", [1500, 5000], ids=["above our limit", "above gRPC's"])
async def test_a_message_too_large_is_a_typed_refusal_without_trace(serve_probe: Any, bytes_sent: int) -> None:
    probe = await serve_probe(max_message_bytes=1000)
    request = probe.new(padding=(CANARY.encode() * 200)[:bytes_sent])
    with pytest.raises(RemoteError) as caught:
        await probe.stub().Answer(request)
    assert (caught.value.reason.name, caught.value.reason.code) == ("MESSAGE_TOO_LARGE", "RESOURCE_EXHAUSTED")
    assert_absent(CANARY, everything_recorded(probe), str(caught.value))


async def test_the_rule_of_the_contract_reaches_a_foreign_client(probe: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await probe.raw("Answer")(probe.new(text="x" * 21).SerializeToString())
    status = status_pb2.Status.FromString(dict(caught.value.trailing_metadata() or ())[TRAILER])
    bad_request = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad_request) for detail in status.details)
    assert [violation.field for violation in bad_request.field_violations] == ["text"]


def test_keys_of_maps_are_content_and_not_shown() -> None:
    key: Oneof[Literal["string_key"], str] = Oneof("string_key", CANARY)
    variables = FieldPathElement(field_name="variables", subscript=key)
    assert field_path(Violation(field=FieldPath(elements=[variables]))) == "variables[*]"


def test_real_contracts_name_nested_fields() -> None:
    request = consent_pb2.BatchCheckConsentRequest(
        entries=[
            consent_pb2.CheckEntry(profile_id="prf_0123456789", purpose_id="news"),
            consent_pb2.CheckEntry(profile_id="someone", purpose_id="news"),
        ]
    )
    (violation,) = Validator().collect_violations(request)
    assert field_path(violation) == "entries[1].profile_id"
