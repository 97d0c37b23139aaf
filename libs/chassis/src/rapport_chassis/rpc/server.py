"""The gRPC server of a service: mutual TLS, health, reflection, and the same middlewares around every method."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rapport_chassis.auth.actor_tokens import ActorTokenVerifier
from rapport_chassis.auth.permissions import PermissionPolicy
from rapport_chassis.clock import Clock
from rapport_chassis.rpc.chain import chain
from rapport_chassis.rpc.health import ROLES, Health, HealthServicer, Role
from rapport_chassis.rpc.pipeline import Handler, Method, grpc_handler, wrap
from rapport_chassis.rpc.registration import AddToServer, Registration, RegistrationError, registrations, unknown_method
from rapport_chassis.rpc.tls import server_credentials
from rapport_chassis.settings import GrpcSettings
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.telemetry.setup import Telemetry

_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # else two servers share a port without a word
    ("grpc.max_connection_age_ms", 300_000),  # new pods get their share; an outdated certificate does not stay
    ("grpc.max_connection_age_grace_ms", 30_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 30_000),  # below the ping interval of our clients
)


class ServerBuilder:
    """Collects services, refuses what must not be served, and builds the server."""

    def __init__(
        self,
        settings: GrpcSettings,
        *,
        service: str,
        telemetry: Telemetry,
        policy: PermissionPolicy,
        tokens: ActorTokenVerifier | None,
        clock: Clock,
        roles: Sequence[Role] = ROLES,
        declared: Iterable[ServiceDescriptor] = (),
    ) -> None:
        """Begin.

        Args:
            settings: The listener.
            service: Name of this service.
            telemetry: Records every call.
            policy: Who may do what.
            tokens: Reads actor tokens; None: no method may ask for a human operator.
            clock: Times the health checks.
            roles: The roles this process has.
            declared: Services that must have been added by the end.

        Raises:
            RegistrationError: The tokens are read for another service.
        """
        self._settings = settings
        if tokens is not None and tokens.audience != service:
            raise RegistrationError(f"{service} was given a reader of tokens meant for {tokens.audience}")
        self._middlewares = chain(settings, telemetry, policy, tokens)
        self._humans = tokens is not None
        self._declared = {descriptor.full_name for descriptor in declared}
        self._registered: dict[str, list[Registration]] = {}
        self.health = Health(roles, clock)
        self.add(
            health_pb2_grpc.add_HealthServicer_to_server,
            HealthServicer(self.health),
            health_pb2.DESCRIPTOR.services_by_name["Health"],
        )

    def add(self, add_to_server: AddToServer, servicer: object, service: ServiceDescriptor) -> ServerBuilder:
        """Serve a service.

        Args:
            add_to_server: The generated `add_…_to_server`.
            servicer: Its implementation, asynchronous.
            service: Its descriptor.

        Raises:
            RegistrationError: It was added before, a method has no access rule, or one asks for a human operator where
                no tokens are read.
        """
        if service.full_name in self._registered:
            raise RegistrationError(f"{service.full_name} was added twice")
        found = list(registrations(add_to_server, servicer, service))
        humans = [each.method.full_name for each in found if each.method.access.human]
        if humans and not self._humans:
            raise RegistrationError(f"{humans[0]} asks for a human operator, but no token issuers are configured")
        self._registered[service.full_name] = found
        return self

    def build(self) -> Server:
        """Return the server, not yet started.

        Raises:
            RegistrationError: A declared service was not added.
            OSError: The TLS files cannot be read.
            ValueError: They do not fit together.
        """
        missing = sorted(self._declared - self._registered.keys())
        if missing:
            raise RegistrationError(f"declared but not added: {', '.join(missing)}")
        for name in self._registered:
            self.health.add_service(name)
        if self._settings.reflection:
            self._add_reflection()
        handlers = {name: [self._wrapped(each) for each in found] for name, found in self._registered.items()}
        _, unknown = self._wrapped(unknown_method())
        return Server(self._settings, self.health, handlers, unknown)

    def _add_reflection(self) -> None:
        from grpc_reflection.v1alpha import _async, reflection_pb2, reflection_pb2_grpc

        service = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
        self.add(
            reflection_pb2_grpc.add_ServerReflectionServicer_to_server,
            _async.ReflectionServicer([*self._registered, service.full_name]),  # type: ignore[no-untyped-call] # no stubs
            service,
        )

    def _wrapped(self, registration: Registration) -> tuple[Method, Handler]:
        return registration.method, wrap(registration.method, self._middlewares, registration.handler)


class Server:
    """A built server. Create and use it in the loop that will serve."""

    def __init__(
        self,
        settings: GrpcSettings,
        health: Health,
        handlers: dict[str, list[tuple[Method, Handler]]],
        unknown: Handler,
    ) -> None:
        self.health = health
        self._settings = settings
        self._address = ""
        # Above our own limit, so that a message somewhat too large gets a typed refusal.
        self._server = grpc.aio.server(
            options=(*_OPTIONS, ("grpc.max_receive_message_length", 2 * settings.max_message_bytes))
        )
        for name, methods in handlers.items():
            self._server.add_registered_method_handlers(
                name, {method.name: grpc_handler(method, handler) for method, handler in methods}
            )
        self._server.add_generic_rpc_handlers([_Unknown(unknown)])
        self._credentials = server_credentials(settings.tls)

    @property
    def address(self) -> str:
        """The bound "host:port"; empty before the start."""
        return self._address

    async def start(self) -> None:
        """Bind, serve, and write the address file.

        Raises:
            RuntimeError: The port is taken.
        """
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        port = self._server.add_secure_port(f"{host}:{self._settings.port}", self._credentials)
        self._address = f"{host}:{port}"
        await self._server.start()
        self.health.start()
        if self._settings.address_file is not None:
            write_address(self._settings.address_file, self._address)
        get_logger().info("grpc_serving", listening=self._address)

    async def stop(self) -> None:
        """Refuse new calls, let those in flight finish within the grace, and cancel the rest."""
        self.health.end_watches()
        await self._server.stop(self._settings.stop_grace_s)
        if self._settings.address_file is not None:
            self._settings.address_file.unlink(missing_ok=True)


def write_address(path: Path, address: str) -> None:
    """Write where a listener is, so that no reader sees half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(address, encoding="ascii")
    partial.replace(path)


class _Unknown(grpc.GenericRpcHandler):
    """Catches calls to methods that nobody registered."""

    def __init__(self, handler: Handler) -> None:
        self._handler = grpc_handler(unknown_method().method, handler)

    def service(self, handler_call_details: object) -> grpc.RpcMethodHandler[Any, Any]:
        """Return the handler that refuses."""
        return self._handler
