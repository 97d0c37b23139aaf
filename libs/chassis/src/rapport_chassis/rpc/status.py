"""Errors on the wire: `google.rpc.Status` in the trailers, both ways."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, cast

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtobufMessage
from google.rpc import error_details_pb2, status_pb2

from rapport_chassis.errors import CHASSIS_ERRORS, CODES, Code, FieldViolation, RapportError, Reason, Resource

TRAILER: Final = "grpc-status-details-bin"
"""Key of the trailer that holds the serialised status."""

_BUDGET: Final = 4096  # bytes; clients accept 8 KiB of trailers by default, text and the rest included
_TEXT_LIMIT: Final = 500
_BY_NAME: Final = {code.name: code for code in grpc.StatusCode}
_WITHOUT_DETAILS: Final = MappingProxyType(
    {
        "UNAVAILABLE": "UNAVAILABLE",
        "CANCELLED": "UNAVAILABLE",  # by a server that stops: what we cancel ourselves is not answered
        "DEADLINE_EXCEEDED": "DEADLINE_EXCEEDED",
        "RESOURCE_EXHAUSTED": "MESSAGE_TOO_LARGE",
        "UNIMPLEMENTED": "METHOD_UNKNOWN",
    }
)


class RemoteError(RapportError):
    """An error that another service answered, or that kept the call from reaching it.

    Attributes:
        trace_id: The other side's trace id in hex; empty if it gave none.
    """

    trace_id: str = ""


def status_code(code: str) -> grpc.StatusCode:
    """Return gRPC's value of a code by its name."""
    return _BY_NAME[code]


def encode(error: RapportError, trace_id: str) -> status_pb2.Status:
    """Return the status that says all the error says and carries the trace id as RequestInfo.

    The least important details are left out where the trailers would grow beyond what clients accept.
    """
    status = status_pb2.Status(code=_number(error.reason.code), message=error.message[:_TEXT_LIMIT])
    _add(status, error_details_pb2.ErrorInfo(reason=error.reason.name, domain=error.domain, metadata=error.metadata))
    if trace_id:
        _add(status, error_details_pb2.RequestInfo(request_id=trace_id))
    if error.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(round(error.retry_after_s * 1e9))
        _add(status, retry)
    if error.resource is not None:
        _add(
            status,
            error_details_pb2.ResourceInfo(resource_type=error.resource.type, resource_name=error.resource.name),
        )
    violations = _violations_that_fit(error.fields, _BUDGET - status.ByteSize())
    if violations.field_violations:
        _add(status, violations)
    return status


async def abort(context: grpc.aio.ServicerContext[object, object], error: RapportError, trace_id: str) -> None:
    """End the call with the error. Always raises gRPC's AbortError, which must be let through."""
    status = encode(error, trace_id)
    await context.abort(
        status_code(error.reason.code), status.message, trailing_metadata=((TRAILER, status.SerializeToString()),)
    )


def decode(error: grpc.aio.AioRpcError) -> RemoteError:
    """Return what the other side meant. A status without details, from gRPC itself, gets the chassis's reason."""
    code = error.code().name
    status = _status_of(error)
    details = _details(status)
    info = details.get("ErrorInfo")
    if not isinstance(info, error_details_pb2.ErrorInfo):
        return _without_details(cast(Code, code), error.details() or "")
    retry = details.get("RetryInfo")
    retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9 if isinstance(retry, error_details_pb2.RetryInfo) else None
    resource = details.get("ResourceInfo")
    bad_request = details.get("BadRequest")
    fields = bad_request.field_violations if isinstance(bad_request, error_details_pb2.BadRequest) else ()
    remote = RemoteError(
        Reason(info.reason, cast(Code, code), retry_after_s is not None or code == "UNAVAILABLE", "Answered remotely."),
        info.domain,
        status.message,
        fields=tuple(FieldViolation(violation.field, violation.description) for violation in fields),
        metadata=MappingProxyType(dict(info.metadata)),
        retry_after_s=retry_after_s,
        resource=(
            Resource(resource.resource_type, resource.resource_name)
            if isinstance(resource, error_details_pb2.ResourceInfo)
            else None
        ),
    )
    request = details.get("RequestInfo")
    if isinstance(request, error_details_pb2.RequestInfo):
        remote.trace_id = request.request_id
    return remote


def _number(code: str) -> int:
    return int(_BY_NAME[code].value[0])


def _add(status: status_pb2.Status, detail: ProtobufMessage) -> None:
    status.details.add().Pack(detail)


def _violations_that_fit(fields: tuple[FieldViolation, ...], budget: int) -> error_details_pb2.BadRequest:
    violations = error_details_pb2.BadRequest()
    for field in fields:
        violation = violations.field_violations.add(field=field.path, description=field.description[:_TEXT_LIMIT])
        if violations.ByteSize() > budget:
            violations.field_violations.remove(violation)
            break
    return violations


def _status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    status = status_pb2.Status(message=error.details() or "")
    for key, value in error.trailing_metadata() or ():
        if key == TRAILER and isinstance(value, bytes):
            try:
                status.ParseFromString(value)
            except DecodeError:
                return status_pb2.Status(message=error.details() or "")
    return status


def _details(status: status_pb2.Status) -> dict[str, ProtobufMessage]:
    """Unpack the details that this module knows, each kind once (AIP-193)."""
    known = {
        cls.DESCRIPTOR.full_name: cls
        for cls in (
            error_details_pb2.ErrorInfo,
            error_details_pb2.BadRequest,
            error_details_pb2.RetryInfo,
            error_details_pb2.ResourceInfo,
            error_details_pb2.RequestInfo,
        )
    }
    found: dict[str, ProtobufMessage] = {}
    for packed in status.details:
        cls = known.get(packed.TypeName())
        if cls is not None:
            found[cls.DESCRIPTOR.name] = cls.FromString(packed.value)
    return found


def _without_details(code: Code, message: str) -> RemoteError:
    name = _WITHOUT_DETAILS.get(code)
    if name is not None:
        return RemoteError(CHASSIS_ERRORS[name], CHASSIS_ERRORS.domain, message)
    name = code if code in CODES else "UNKNOWN"
    return RemoteError(Reason(name, code, False, "gRPC itself ended the call."), "grpc.rapport", message)
