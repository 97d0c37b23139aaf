"""Endpoints over gRPC: where browsers and systems of a person listen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from rapport.notification.v1 import feedback_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.database.pool import Connection
from rapport_chassis.once import Once
from rapport_chassis.outbound import Endpoint as Address
from rapport_chassis.outbound import EndpointRefusedError
from rapport_chassis.paging import cursor_of, next_page_token

from rapport_notification.app.people import LedgerPeople
from rapport_notification.app.times import micros_of
from rapport_notification.domain.errors import ERRORS
from rapport_notification.domain.vocabulary import Channel
from rapport_notification.entrypoints.edge_ports import EdgeStore, EdgeUnit

PAGE: Final = 50
MOST: Final = 500
_NEWEST: Final = (2**62, "")


class Kept(Protocol):
    """A registered listener."""

    @property
    def endpoint_id(self) -> str:
        """Which."""
        ...

    @property
    def channel(self) -> Channel:
        """The channel."""
        ...

    @property
    def host(self) -> str:
        """Its host."""
        ...

    @property
    def registered_us(self) -> int:
        """Since when."""
        ...

    @property
    def paused_until_us(self) -> int:
        """Until when it is left alone; 0 while it answers."""
        ...


class Endpoints(Protocol):
    """Endpoints in the caller's transaction."""

    async def register(
        self,
        connection: Connection,
        profile_id: str,
        channel: Channel,
        where: tuple[str, str],
        keys: tuple[bytes, bytes],
        now_us: int,
    ) -> tuple[Kept, str]:
        """Register a listener; return it, and what a system verifies our calls with."""
        ...

    async def of(
        self,
        connection: Connection,
        profile_ids: Sequence[str],
        channel: Channel | None,
        before: tuple[int, str],
        limit: int,
    ) -> Sequence[Kept]:
        """Return where somebody listens, the newest first, those before a place."""
        ...

    async def remove(self, connection: Connection, endpoint_id: str) -> bool:
        """Take an endpoint back; False if there was none."""
        ...


class EndpointDesk:
    """Answers for endpoints.

    Args:
        once: Takes changes, each in a transaction, once.
        store: Opens transactions.
        endpoints: The endpoints.
        read: Reads the URL of an endpoint that may be called.
        people: Who is whose.
        clock: The time.
    """

    def __init__(
        self,
        once: Once[EdgeUnit],
        store: EdgeStore,
        endpoints: Endpoints,
        read: Callable[[str], Address],
        people: LedgerPeople,
        clock: Clock,
    ) -> None:
        self._once = once
        self._store = store
        self._endpoints = endpoints
        self._read = read
        self._people = people
        self._clock = clock

    async def register(self, request: feedback_pb2.RegisterEndpointRequest) -> feedback_pb2.Endpoint:
        """Say where a person can be reached."""
        if request.HasField("push"):
            channel, url = Channel.WEB_PUSH, request.push.endpoint
            keys = request.push.p256dh, request.push.auth
        else:
            channel, url, keys = Channel.WEBHOOK, request.webhook.url, (b"", b"")
        try:
            host = self._read(url).host
        except EndpointRefusedError as error:
            raise ERRORS.error("ENDPOINT_INVALID", str(error), field="listener") from error

        async def registered(unit: EdgeUnit) -> feedback_pb2.Endpoint:
            now_us = micros_of(self._clock.now())
            made, secret = await self._endpoints.register(
                unit.connection, request.profile_id, channel, (host, url), keys, now_us
            )
            message = self._message(made, request.profile_id)
            message.signing_secret = secret
            return message

        return await self._once.run(request, feedback_pb2.Endpoint, registered, target="endpoint")

    async def remove(self, request: feedback_pb2.RemoveEndpointRequest) -> feedback_pb2.RemoveEndpointResponse:
        """Take an endpoint back."""

        async def removed(unit: EdgeUnit) -> feedback_pb2.RemoveEndpointResponse:
            if not await self._endpoints.remove(unit.connection, request.endpoint_id):
                raise ERRORS.error("ENDPOINT_NOT_FOUND", "there is no such endpoint", field="endpoint_id")
            return feedback_pb2.RemoveEndpointResponse()

        return await self._once.run(request, feedback_pb2.RemoveEndpointResponse, removed, target=request.endpoint_id)

    async def page(self, request: feedback_pb2.ListEndpointsRequest) -> feedback_pb2.ListEndpointsResponse:
        """List where a person can be reached."""
        size = min(request.page_size or PAGE, MOST)
        cursor = cursor_of(request, request.page_token)
        before = (int(cursor[0]), str(cursor[1])) if cursor else _NEWEST
        ids = self._people.ids_of(request.profile_id)
        async with self._store.unit() as unit:
            found = await self._endpoints.of(unit.connection, ids, None, before, size + 1)
        answer = feedback_pb2.ListEndpointsResponse(
            endpoints=[self._message(each, request.profile_id) for each in found[:size]]
        )
        if len(found) > size:
            last = found[size - 1]
            answer.next_page_token = next_page_token(request, (last.registered_us, last.endpoint_id))
        return answer

    def _message(self, kept: Kept, profile_id: str) -> feedback_pb2.Endpoint:
        message = feedback_pb2.Endpoint(
            endpoint_id=kept.endpoint_id,
            profile_id=self._people.current(profile_id),
            channel=int(kept.channel),  # type: ignore[arg-type] # numbers are the contract's
            host=kept.host,
            paused=kept.paused_until_us > micros_of(self._clock.now()),
        )
        message.registered_at.FromMicroseconds(kept.registered_us)
        return message
