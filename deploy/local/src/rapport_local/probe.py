"""Asking a service how its roles are, over the same mutual TLS as every other call."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rapport_chassis.rpc.health import ROLES
from rapport_chassis.rpc.tls import TlsMaterial, client_credentials
from rapport_chassis.settings import TlsFiles

if TYPE_CHECKING:
    from rapport_testing.pki import IssuedFiles

    from rapport_local.status import RoleHealth

UNTRACED: Final = (("traceparent", f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"),)
"""Says that a call is not to be recorded: the command's own questions would bury the traces that people look for."""

_TIMEOUT_S: Final = 2.0
_SERVING: Final = health_pb2.HealthCheckResponse.SERVING


class RoleProbe:
    """Asks one service; the channel is made anew after a failure, with what the certificate files hold by then.

    Args:
        target: The service's "host:port".
        files: The certificate to show.
    """

    def __init__(self, target: str, files: IssuedFiles) -> None:
        self._target = target
        self._files = TlsFiles(certificate=files.certificate, key=files.key, authorities=files.authorities)
        self._channel: grpc.aio.Channel | None = None

    async def ask(self) -> Mapping[str, RoleHealth]:
        """Return the health of each role the process has."""
        if self._channel is None:
            credentials = client_credentials(TlsMaterial.read(self._files))
            self._channel = grpc.aio.secure_channel(self._target, credentials)
        check = health_pb2_grpc.HealthStub(self._channel).Check  # type: ignore[no-untyped-call]
        answers = await asyncio.gather(*(self._ask_role(check, role) for role in ROLES))
        if "unreachable" in answers:
            await self.close()
        return {role: answer for role, answer in zip(ROLES, answers, strict=True) if answer is not None}

    async def _ask_role(self, check: Callable[..., object], role: str) -> RoleHealth | None:
        try:
            answer = await check(health_pb2.HealthCheckRequest(service=role), timeout=_TIMEOUT_S, metadata=UNTRACED)  # type: ignore[misc]
        except grpc.aio.AioRpcError as error:
            return None if error.code() is grpc.StatusCode.NOT_FOUND else "unreachable"
        return "ready" if answer.status == _SERVING else "not ready"

    async def close(self) -> None:
        """Close the channel."""
        channel, self._channel = self._channel, None
        if channel is not None:
            with contextlib.suppress(grpc.aio.UsageError):
                await channel.close()
