"""Calls to another service: deadlines, retries, trace, decoded errors and changing certificates, taken care of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar, cast

import grpc
from google.protobuf import descriptor_pool

from rapport_chassis.auth.actor_tokens import METADATA_KEY
from rapport_chassis.rpc.channel import ManagedChannel
from rapport_chassis.rpc.deadlines import DeadlineTable
from rapport_chassis.rpc.outgoing import ManyAnswers, Metadata, OneAnswer, OutgoingMethod
from rapport_chassis.settings import ClientSettings
from rapport_chassis.telemetry.setup import Telemetry

StubT_co = TypeVar("StubT_co", covariant=True)


class StubClass(Protocol[StubT_co]):
    """A generated stub class, seen as what makes its instance over an asynchronous channel."""

    def __call__(self, channel: grpc.aio.Channel, /) -> StubT_co:
        """Return the stub."""
        ...


class Client:
    """One target. Stubs made here raise `RemoteError` where the other side answers an error."""

    def __init__(
        self, settings: ClientSettings, *, telemetry: Telemetry, deadlines: DeadlineTable | None = None
    ) -> None:
        """Prepare; the channel is opened by the first call, in the loop that makes it.

        Args:
            settings: Where, and with which certificate.
            telemetry: Records every call.
            deadlines: Seconds per method; without it all have the settings' default.

        Raises:
            OSError: The TLS files cannot be read.
            ValueError: They do not fit together.
        """
        self._channel = ManagedChannel(settings)
        self._telemetry = telemetry
        self._deadlines = deadlines or DeadlineTable(default_s=settings.default_deadline_s)

    def stub(self, stub_class: StubClass[StubT_co], *, actor_token: str | None = None) -> StubT_co:
        """Return a stub of a generated class.

        Its methods take the request, and optionally `timeout` (seconds, in place of the table's) and `metadata`. A
        method with one answer returns an awaitable of it, one with many an asynchronous iterator.

        Args:
            stub_class: The generated class.
            actor_token: Shows the human operator who stands behind all calls made with this stub.
        """
        metadata: Metadata = ((METADATA_KEY, actor_token),) if actor_token else ()
        return stub_class(cast(grpc.aio.Channel, _StubChannel(self._method, metadata)))

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        await self._channel.close()

    def _method(self, shape: str, path: str, codecs: Mapping[str, Any], metadata: Metadata) -> OutgoingMethod:
        full_name = path.removeprefix("/")
        service, _, name = full_name.partition("/")
        method = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
        self._channel.add_service(method.containing_service)
        calls = ManyAnswers if method.server_streaming else OneAnswer
        return calls(
            full_name,
            lambda channel: getattr(channel, shape)(path, **codecs),
            self._channel,
            self._telemetry,
            self._deadlines.of(full_name, streaming=method.client_streaming or method.server_streaming),
            metadata,
        )


class _StubChannel:
    """Stands in for a channel while a generated stub asks for its methods."""

    def __init__(self, make: Callable[..., OutgoingMethod], metadata: Metadata) -> None:
        self._make = make
        self._metadata = metadata

    def unary_unary(self, path: str, **codecs: object) -> OutgoingMethod:
        return self._make("unary_unary", path, codecs, self._metadata)

    def unary_stream(self, path: str, **codecs: object) -> OutgoingMethod:
        return self._make("unary_stream", path, codecs, self._metadata)

    def stream_unary(self, path: str, **codecs: object) -> OutgoingMethod:
        return self._make("stream_unary", path, codecs, self._metadata)

    def stream_stream(self, path: str, **codecs: object) -> OutgoingMethod:
        return self._make("stream_stream", path, codecs, self._metadata)
