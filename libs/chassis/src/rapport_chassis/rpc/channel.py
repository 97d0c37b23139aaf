"""A channel to one target that is replaced when the TLS files change; calls in flight finish on the old one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from rapport_chassis.rpc.tls import TlsMaterial, client_credentials, watched
from rapport_chassis.settings import ClientSettings

_OPTIONS: Final = (
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.enable_retries", 1),
    # A server that restarts is found again in a second; by default the wait between attempts grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Channels with other credentials must not share connections through the process-wide pool.
    ("grpc.use_local_subchannel_pool", 1),
)
_IDEMPOTENT: Final = (MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT)


class LiveChannel:
    """One gRPC channel of a `ManagedChannel`, and how many calls use it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.callables: dict[str, Any] = {}
        self._calls = 0
        self._retired = False
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the channel open for a call."""
        self._calls += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    async def close_when_idle(self) -> None:
        """Close the channel once no call uses it any more."""
        await self._idle.wait()
        await self.channel.close()


class ManagedChannel:
    """Opens the channel at the first call and again whenever certificate, key or authorities have changed."""

    def __init__(self, settings: ClientSettings) -> None:
        """Read the TLS files.

        Raises:
            OSError: They cannot be read.
            ValueError: They do not fit together.
        """
        self._settings = settings
        self._tls = watched(settings.tls)
        self._retryable: set[tuple[str, str]] = set()
        self._live: LiveChannel | None = None
        self._made_of: TlsMaterial | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def add_service(self, service: ServiceDescriptor) -> None:
        """Let the idempotent methods of a service be retried while the target is unavailable."""
        retryable = {
            (service.full_name, method.name)
            for method in service.methods
            if method.GetOptions().idempotency_level in _IDEMPOTENT
        }
        if not retryable <= self._retryable:
            self._retryable |= retryable
            self._made_of = None

    def current(self) -> LiveChannel:
        """Return the channel to use for a call that starts now."""
        material = self._tls.current()
        if self._live is None or material is not self._made_of:
            self._retire()
            self._live, self._made_of = LiveChannel(self._open(material)), material
        return self._live

    async def close(self) -> None:
        """Close at once; calls in flight are cancelled."""
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        if self._live is not None:
            await self._live.channel.close()
            self._live = None

    def _retire(self) -> None:
        if self._live is not None:
            task = asyncio.create_task(self._live.close_when_idle())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _open(self, material: TlsMaterial) -> grpc.aio.Channel:
        options: list[tuple[str, Any]] = [
            *_OPTIONS,
            ("grpc.max_receive_message_length", self._settings.max_message_bytes),
            ("grpc.service_config", self._service_config()),
        ]
        if self._settings.server_name is not None:
            options.append(("grpc.ssl_target_name_override", self._settings.server_name))
        return grpc.aio.secure_channel(self._settings.target, client_credentials(material), options=options)

    def _service_config(self) -> str:
        config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
        if self._retryable and self._settings.max_attempts > 1:
            config["retryThrottling"] = {"maxTokens": 10, "tokenRatio": 0.1}
            config["methodConfig"] = [
                {
                    "name": [{"service": service, "method": name} for service, name in sorted(self._retryable)],
                    "retryPolicy": {
                        "maxAttempts": self._settings.max_attempts,
                        "initialBackoff": "0.05s",
                        "maxBackoff": "1s",
                        "backoffMultiplier": 2,
                        # A server that stops cancels what it has received and not begun (grpc/grpc#41785).
                        "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
                    },
                }
            ]
        return json.dumps(config)
