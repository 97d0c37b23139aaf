"""From a servicer to handlers: what is registered, by which rule, and in which shape."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol, cast

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.rpc.foreign import access_of
from rapport_chassis.rpc.pipeline import Access, Call, Handler, Method


class RegistrationError(Exception):
    """The server must not start: what it was given to serve is incomplete or contradictory."""


class AddToServer(Protocol):
    """A generated `add_…_to_server`."""

    def __call__(self, servicer: Any, server: Any) -> object:
        """Register the servicer with the server."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A method and the handler that calls its servicer."""

    method: Method
    handler: Handler


def registrations(add: AddToServer, servicer: object, service: ServiceDescriptor) -> Iterator[Registration]:
    """Yield the methods of a service with their handlers.

    Args:
        add: The generated `add_…_to_server` of this service.
        servicer: Its implementation.
        service: Its descriptor.

    Raises:
        RegistrationError: The function belongs to another service, a method has no access rule, or its implementation
            is not asynchronous.
    """
    recorder = _Recorder()
    add(servicer, recorder)
    names = [handler.service_name() for handler in recorder.handlers]
    if names != [service.full_name]:
        raise RegistrationError(f"{service.full_name} is not what was added: {names}")
    for descriptor in service.methods:
        details = _Details(f"/{service.full_name}/{descriptor.name}")
        registered = recorder.handlers[0].service(details)
        if registered is None:
            raise RegistrationError(
                f"{service.full_name}/{descriptor.name} is in the descriptor, but not in the generated code"
            )
        yield _registration(descriptor, registered)


def method_of(descriptor: MethodDescriptor) -> Method:
    """Return what is known of a method.

    Raises:
        RegistrationError: It has no access rule.
    """
    service = descriptor.containing_service.full_name
    access = access_of(descriptor)
    if access is None:
        raise RegistrationError(f"{service}/{descriptor.name} has no access rule: nobody could say who may call it")
    return Method(
        service,
        descriptor.name,
        access,
        GetMessageClass(descriptor.input_type),
        descriptor.client_streaming,
        descriptor.server_streaming,
    )


def unknown_method() -> Registration:
    """Return what answers calls to methods that do not exist: a typed refusal, through the same middlewares."""
    from google.protobuf.empty_pb2 import Empty

    async def refuse(call: Call, request: object) -> None:
        raise CHASSIS_ERRORS.error("METHOD_UNKNOWN", "the server has no such method")

    return Registration(Method("unknown", "Unknown", Access(permission=""), Empty, True, True), refuse)


def _registration(descriptor: MethodDescriptor, registered: grpc.RpcMethodHandler[Any, Any]) -> Registration:
    method = method_of(descriptor)
    behaviour = registered.unary_unary or registered.unary_stream or registered.stream_unary or registered.stream_stream
    if inspect.iscoroutinefunction(behaviour) and not method.response_streaming:
        return Registration(method, _answering(behaviour))
    if inspect.isasyncgenfunction(behaviour) and method.response_streaming:
        return Registration(method, _streaming(behaviour))
    kind = "an asynchronous generator" if method.response_streaming else "a coroutine function"
    raise RegistrationError(f"{method.full_name} must be {kind}")


def _answering(behaviour: Callable[..., Any]) -> Handler:
    async def answer(call: Call, request: object) -> bytes:
        response: Message = await behaviour(request, call.context)
        return response.SerializeToString()

    return answer


def _streaming(behaviour: Callable[..., Any]) -> Handler:
    async def answer(call: Call, request: object) -> None:
        write = call.context.write
        async with aclosing(behaviour(request, call.context)) as responses:
            async for response in cast(AsyncIterable[Message], responses):
                await write(response.SerializeToString())

    return answer


@dataclass(frozen=True, slots=True)
class _Details(grpc.HandlerCallDetails):
    """Asks a generated handler for one of its methods."""

    method: str
    invocation_metadata: tuple[()] = ()


class _Recorder:
    """Stands in for the server while generated code registers, and keeps what it is given."""

    def __init__(self) -> None:
        self.handlers: list[grpc.ServiceRpcHandler] = []

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.ServiceRpcHandler]) -> None:
        self.handlers += handlers

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """Ignored: the same handlers as above, which older generated code gives alone."""
