"""One call, and how middlewares are put around a handler.

Middlewares wrap each handler once, when it is registered; a call then passes through plain nested coroutines. All four
shapes of a method look alike: a handler takes the call and the request (bytes, or an asynchronous iterator of bytes)
and returns the answer's bytes; where the answer is a stream, it writes to the call instead and returns nothing.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc

from rapport_chassis.errors import CHASSIS_ERRORS, RapportError

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from rapport_chassis.auth.actor_tokens import Actor
    from rapport_chassis.auth.permissions import Grants, PermissionPolicy

ServicerContext: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call a method.

    Attributes:
        permission: What the caller's certificate must hold; empty: any certificate of the installation will do.
        human: Whether a human operator must stand behind the call.
    """

    permission: str
    human: bool = False


@dataclass(frozen=True, slots=True)
class Method:
    """What is known about a method before anyone calls it.

    Attributes:
        service: Full name of its service.
        name: Its own name.
        access: Who may call it.
        request_class: Class of its requests.
        request_streaming: Whether it takes many.
        response_streaming: Whether it answers with many.
    """

    service: str
    name: str
    access: Access
    request_class: type[Message]
    request_streaming: bool
    response_streaming: bool

    @property
    def full_name(self) -> str:
        """Service and method, as telemetry names them."""
        return f"{self.service}/{self.name}"


class Call:
    """A call being answered, as far as the middlewares have come with it.

    Attributes:
        method: What is called.
        context: gRPC's side of the call.
        metadata: Headers of the call. Binary ones are bytes.
        caller: URI of the caller's certificate; empty before authentication.
        thumbprint: Unpadded base64url of SHA-256 over the caller's certificate (`x5t#S256`).
        actor: The human operator behind the call, if one was shown.
        deadline_s: `time.monotonic()` at which the call ends; infinite for a stream without one.
        status: Name of the status code the call ends with.
        reason: Reason of the error it ends with.
    """

    __slots__ = (
        "_grants",
        "_policy",
        "actor",
        "caller",
        "context",
        "deadline_s",
        "metadata",
        "method",
        "reason",
        "status",
        "thumbprint",
    )

    def __init__(self, method: Method, context: ServicerContext) -> None:
        self.method = method
        self.context = context
        self.metadata: dict[str, str | bytes] = dict(context.invocation_metadata() or ())
        self.caller = ""
        self.thumbprint = ""
        self.actor: Actor | None = None
        self.deadline_s = _NEVER
        self.status = "OK"
        self.reason = ""
        self._grants: Grants | None = None
        self._policy: PermissionPolicy | None = None

    @property
    def service(self) -> str:
        """Full name of the service called."""
        return self.method.service

    @property
    def permission(self) -> str:
        """The permission that the method needs."""
        return self.method.access.permission

    def remaining_s(self) -> float:
        """Return the seconds until the deadline, negative after it; infinite without one."""
        return self.deadline_s - time.monotonic()

    def text(self, name: str) -> str:
        """Return a text header; empty where it is missing or binary."""
        value = self.metadata.get(name, "")
        return value if isinstance(value, str) else ""

    def log_values(self) -> dict[str, str]:
        """Return what log lines say about the call."""
        values = {"method": self.method.full_name}
        return values | {"caller": self.caller} if self.caller else values

    def identify(self, caller: str, thumbprint: str, grants: Grants | None, policy: PermissionPolicy) -> None:
        """Note who calls, by which grants; None for somebody unknown, who holds no permission."""
        self.caller, self.thumbprint = caller, thumbprint
        self._grants, self._policy = grants, policy

    def require(self, permission: str, *, human: bool = False) -> None:
        """Return if the caller, and where asked the human operator behind the call, hold the permission.

        Raises:
            RapportError: PERMISSION_DENIED, ACTOR_TOKEN_MISSING or ACTOR_PERMISSION_DENIED, naming the permission.
        """
        if permission and (self._grants is None or not self._grants.allow(permission)):
            raise _denied("PERMISSION_DENIED", f"the caller does not hold {permission}", permission)
        if not human:
            return
        if self.actor is None or self._policy is None:
            raise _denied("ACTOR_TOKEN_MISSING", "a human operator must stand behind this call", permission)
        if not self._policy.roles_allow(self.actor.roles, permission):
            raise _denied("ACTOR_PERMISSION_DENIED", f"no role of the actor holds {permission}", permission)


Handler: TypeAlias = Callable[[Call, Any], Awaitable[bytes | None]]
Middleware: TypeAlias = Callable[[Method, Handler], Handler]

_current: ContextVar[Call] = ContextVar("rapport_call")


def current_call() -> Call:
    """Return the call being answered by the running task.

    Raises:
        LookupError: The task answers none.
    """
    return _current.get()


def call_or_none() -> Call | None:
    """Return the call being answered by the running task, if there is one."""
    return _current.get(None)


def wrap(method: Method, middlewares: Iterable[Middleware], handler: Handler) -> Handler:
    """Return the handler inside the middlewares, the first one outermost."""
    return reduce(lambda inner, middleware: middleware(method, inner), reversed(list(middlewares)), handler)


def grpc_handler(method: Method, handler: Handler) -> grpc.RpcMethodHandler[Any, Any]:
    """Return the handler in the form that gRPC registers, for bytes in and bytes out."""

    async def entry(request: Any, context: ServicerContext) -> bytes | None:
        call = Call(method, context)
        _current.set(call)  # each call runs in a task of its own
        return await handler(call, request)

    shapes = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    make: Callable[[Any], grpc.RpcMethodHandler[Any, Any]] = shapes[method.request_streaming, method.response_streaming]
    return make(entry)


def _denied(reason: str, message: str, permission: str) -> RapportError:
    return CHASSIS_ERRORS.error(reason, message, metadata={"permission": permission})
