"""One call to a running service, as a client of the local environment: certificate, actor token, decoded errors."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.message import Message
from rapport_chassis.auth.actor_tokens import METADATA_KEY
from rapport_chassis.rpc.client import Client
from rapport_chassis.rpc.status import RemoteError, decode
from rapport_chassis.rpc.tls import TlsMaterial, client_credentials
from rapport_chassis.settings import ClientSettings, TlsFiles
from rapport_chassis.telemetry.setup import Telemetry
from rapport_testing.pki import IssuedFiles

from rapport_local import access, operators
from rapport_local.environment import SERVERS, Environment
from rapport_local.failure import Failure
from rapport_local.reflection import OfferedMethod, offered_methods
from rapport_local.status import EnvironmentStatus

_SHORT_ID: Final = 12

StubT = TypeVar("StubT")


@asynccontextmanager
async def channel_to(address: str, files: IssuedFiles) -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel that shows a certificate."""
    tls = TlsFiles(certificate=files.certificate, key=files.key, authorities=files.authorities)
    async with grpc.aio.secure_channel(address, client_credentials(TlsMaterial.read(tls))) as channel:
        yield channel


@asynccontextmanager
async def stub_of(
    environment: Environment,
    status: EnvironmentStatus,
    service: str,
    stub: Callable[[grpc.aio.Channel], StubT],
    client: str = access.CLI,
    *,
    operator: operators.Login | None = None,
) -> AsyncIterator[StubT]:
    """Call a service by its stub, as a client; with an operator, who stands behind every call of the next minutes.

    Raises:
        Failure: There is no such client, or the service does not run.
    """
    files = access.tls_files(environment, client)
    process = status.process(service)
    if process is None:
        raise Failure(f"the {service} service does not run", hint="`rapport status` shows what does")
    tls = TlsFiles(certificate=files.certificate, key=files.key, authorities=files.authorities)
    caller = Client(ClientSettings(target=process.address, tls=tls), telemetry=Telemetry.off())
    token = None
    if operator is not None:
        token = operators.token_for(environment, operator, service=service, presenter=files)
    try:
        yield caller.stub(stub, actor_token=token)
    finally:
        await caller.close()


async def methods_of(environment: Environment, status: EnvironmentStatus) -> list[OfferedMethod]:
    """Return every method that any service of the environment offers at present.

    Raises:
        Failure: None can be reached.
    """
    files = access.tls_files(environment, access.CLI)
    found: list[OfferedMethod] = []
    for process in status.processes:
        if process.name in SERVERS:
            continue
        try:
            async with channel_to(process.address, files) as channel:
                found += await offered_methods(channel, process.name, process.address)
        except grpc.aio.AioRpcError:
            continue
    if not found:
        raise Failure("no service can be reached", hint="`rapport status` shows them, `rapport doctor` says why")
    return found


class Caller:
    """Calls methods as one client.

    Args:
        environment: Where the certificates and the login are.
        client: Name of the client, as in `rapport client add`.
        timeout_s: How long a call may take.
    """

    def __init__(self, environment: Environment, client: str, timeout_s: float) -> None:
        self._environment = environment
        self._files = access.tls_files(environment, client)
        self._timeout_s = timeout_s

    async def call(self, method: OfferedMethod, requests: list[Any]) -> AsyncIterator[Message]:
        """Yield the answers to one request, or to all of a stream.

        Args:
            method: What to call.
            requests: The requests as JSON values; several only where the method takes a stream.

        Raises:
            Failure: A request does not have the form of the contract.
            RemoteError: The service refused.
        """
        messages = [_message(method, request) for request in requests]
        async with channel_to(method.address, self._files) as channel:
            try:
                async for answer in self._answers(channel, method, messages):
                    yield answer
            except grpc.aio.AioRpcError as error:
                raise decode(error) from None

    def _actor(self, method: OfferedMethod) -> tuple[tuple[str, str], ...]:
        login = operators.current_login(self._environment)
        if not method.human or login is None:
            return ()
        token = operators.token_for(self._environment, login, service=method.provider, presenter=self._files)
        return ((METADATA_KEY, token),)

    async def _answers(
        self,
        channel: grpc.aio.Channel,
        method: OfferedMethod,
        messages: list[Message],
    ) -> AsyncIterator[Message]:
        descriptor = method.descriptor
        shape = "_".join(
            "stream" if many else "unary" for many in (descriptor.client_streaming, descriptor.server_streaming)
        )
        call: Any = getattr(channel, shape)(
            f"/{method.full_name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(descriptor.output_type).FromString,
        )
        request: Any = iter(messages) if descriptor.client_streaming else messages[0]
        answer = call(request, timeout=self._timeout_s, metadata=self._actor(method))
        if not descriptor.server_streaming:
            yield await answer
            return
        async for each in answer:
            yield each


def read_requests(text: str, method: OfferedMethod) -> list[Any]:
    """Return the requests in a text: one JSON object; for a method that takes a stream, any number of them in a row.

    Raises:
        Failure: It is not JSON, or another number.
    """
    decoder, found, position = json.JSONDecoder(), [], 0
    text = text.strip() or "{}"
    try:
        while position < len(text):
            value, position = decoder.raw_decode(text, position)
            found += value if isinstance(value, list) else [value]
            while position < len(text) and text[position] in " \t\r\n,":
                position += 1
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Failure(
            f"the request is not JSON: {error.msg} at {where}", hint='quote it: \'{"key": "value"}\''
        ) from error
    if len(found) != 1 and not method.descriptor.client_streaming:
        raise Failure(f"{method.short_name} takes one request, not {len(found)}")
    return found


def answer_json(answer: Message, method: OfferedMethod, *, indent: int | None) -> str:
    """Return an answer as JSON, fields without a value included where they say something (numbers, enums, false)."""
    pool = method.descriptor.containing_service.file.pool
    return json_format.MessageToJson(
        answer, indent=indent, descriptor_pool=pool, always_print_fields_with_no_presence=False
    )


def explain(error: RemoteError, *, client: str) -> Failure:
    """Return a refusal in words: reason, fields at fault, and what to do about it."""
    fields = "\n".join(f"{field.path}: {field.description}" for field in error.fields)
    retry = f" (try again in {error.retry_after_s:g} s)" if error.retry_after_s is not None else ""
    return Failure(
        f"{error.reason.name}: {error.message}{retry}",
        details=fields,
        hint=_advice(error, client) or (f"rapport trace {error.trace_id[:_SHORT_ID]}" if error.trace_id else ""),
    )


def error_document(error: RemoteError) -> Mapping[str, Any]:
    """Return a refusal for programs to read."""
    return {
        "error": {
            "code": error.reason.code,
            "reason": error.reason.name,
            "domain": error.domain,
            "message": error.message,
            "fields": [{"path": field.path, "description": field.description} for field in error.fields],
            "metadata": dict(error.metadata),
            "retry_after_s": error.retry_after_s,
            "trace_id": error.trace_id,
        }
    }


def _advice(error: RemoteError, client: str) -> str:
    permission = error.metadata.get("permission", "PERMISSION")
    match error.reason.name:
        case "PERMISSION_DENIED" | "CALLER_UNKNOWN":
            return f"allow it: rapport client add {client} --may {permission}"
        case "ACTOR_TOKEN_MISSING":
            role = access.role_that_may(permission)
            return f"a human operator must stand behind it: rapport login NAME --role {role}"
        case "ACTOR_PERMISSION_DENIED":
            return f"log in with a role that holds {permission}: rapport login NAME --role administrator"
        case "LOGIN_NOT_FRESH":
            return "log in again: rapport login NAME --role ROLE"
        case "UNAVAILABLE":
            return "`rapport status` shows whether the service runs"
        case _:
            return ""


def _message(method: OfferedMethod, request: Any) -> Message:
    """The request as a message; a missing request id is made up, as a client program would."""
    descriptor = method.descriptor.input_type
    if not isinstance(request, dict):
        raise Failure(f"a request of {method.short_name} is a JSON object")
    message = message_factory.GetMessageClass(descriptor)()
    try:
        json_format.ParseDict(request, message, descriptor_pool=descriptor.file.pool)
    except json_format.ParseError as error:
        raise Failure(_first_sentence(str(error)), hint=_fields_hint(str(error))) from error
    if "request_id" in descriptor.fields_by_name and not getattr(message, "request_id"):  # noqa: B009 - not in its type
        setattr(message, "request_id", str(uuid.uuid4()))  # noqa: B010
    return message


def _first_sentence(text: str) -> str:
    return text.splitlines()[0].strip().rstrip(".").replace('Message type "rapport.', '"')


def _fields_hint(text: str) -> str:
    """What the library says of an unknown field: the names that exist."""
    match = re.search(r"\[(.*)\]", text)
    return f"its fields are {match[1]}" if match is not None and "Available Fields" in text else ""
