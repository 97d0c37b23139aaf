"""Innermost: reads the request and checks it against the rules of the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from google.protobuf.message import DecodeError, Message
from protovalidate import Validator, Violation

from rapport_chassis.errors import CHASSIS_ERRORS, FieldViolation, RapportError
from rapport_chassis.rpc.pipeline import Call, Handler, Method, Middleware


def validation(max_message_bytes: int) -> Middleware:
    """Return the middleware that hands on only messages that keep the rules; each message of a stream is checked."""
    validator = Validator()

    def around(method: Method, handler: Handler) -> Handler:
        parse = method.request_class.FromString
        violations_of = validator.collect_violations
        violations_of(method.request_class())  # compiles the rules now, not in the first call (9 ms)

        def read(raw: bytes) -> Message:
            if len(raw) > max_message_bytes:
                raise CHASSIS_ERRORS.error(
                    "MESSAGE_TOO_LARGE",
                    f"messages are limited to {max_message_bytes} bytes",
                    metadata={"max_message_bytes": str(max_message_bytes)},
                )
            try:
                message = parse(raw)
            except DecodeError:
                raise CHASSIS_ERRORS.error(
                    "REQUEST_MALFORMED", f"the bytes are no {method.request_class.DESCRIPTOR.full_name}"
                ) from None
            violations = violations_of(message)
            if violations:
                raise invalid_request(violations)
            return message

        async def read_each(raws: AsyncIterator[bytes]) -> AsyncIterator[Message]:
            async for raw in raws:
                yield read(raw)

        if method.request_streaming:

            async def checked(call: Call, request: Any) -> bytes | None:
                return await handler(call, read_each(request))

        else:

            async def checked(call: Call, request: Any) -> bytes | None:
                return await handler(call, read(request))

        return checked

    return around


def invalid_request(violations: Sequence[Violation]) -> RapportError:
    """Return the error that names the fields at fault and the rules they break, never their values."""
    fields = [FieldViolation(field_path(violation), violation.proto.message) for violation in violations]
    return CHASSIS_ERRORS.error("INVALID_REQUEST", "the request breaks rules of the contract", fields=fields)


def field_path(violation: Violation) -> str:
    """Return the path of the field at fault, for example `rows[3].brand_id`. Keys of maps, being content, show as *."""
    path = ""
    field = violation.proto.field
    for element in field.elements if field else ():
        path += f".{element.field_name}" if path else element.field_name
        if element.subscript is not None:
            path += f"[{element.subscript.value}]" if element.subscript.field == "index" else "[*]"
    return path
