"""The process's connection to NATS: made in the background, made again for ever, closed without hanging."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from typing import Any, Final, Literal

import nats.errors
from nats.aio.client import Client

from rapport_chassis.clock import Clock, SystemClock
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.events.errors import EVENT_ERRORS
from rapport_chassis.events.jetstream import JetStreamApi
from rapport_chassis.events.tasks import end
from rapport_chassis.events.tls import client_context
from rapport_chassis.settings import NatsSettings, TlsFiles
from rapport_chassis.telemetry.logs import get_logger

_RECONNECT_WAIT_S: Final = 0.25
_CONNECT_TIMEOUT_S: Final = 5
_ATTEMPT_S: Final = 15.0
"""How long a client may take to connect, or twice that to come back: in a handshake with a dying server it waits for
ever."""
_CLOSE_S: Final = 2.0
_PING_INTERVAL_S: Final = 10
_REBUILD_WAIT_S: Final = 1.0
_FLUSH_TIMEOUT_S: Final = 1


class NatsConnection:
    """One connection for everything in a process but the relay, which has its own.

    Args:
        settings: Servers, certificate, domain.
        user: Name of the service; it names the inbox, the only subject the service may subscribe to.
        clock: Paces retries.
    """

    name = "nats"
    role: Literal["all"] = "all"

    def __init__(self, settings: NatsSettings, *, user: str, clock: Clock | None = None) -> None:
        self.settings = settings
        self._user = user
        self._clock = clock or SystemClock()
        self._client: Client | None = None
        self._connected = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._last_error = "not connected yet"

    @property
    def is_connected(self) -> bool:
        """Whether the broker can be reached at this moment, as far as is known."""
        return self._connected.is_set()

    async def start(self) -> None:
        """Begin to connect in the background; return at once, whether or not the broker is there."""
        self._task = asyncio.create_task(self._keep(), name="nats")

    async def stop(self) -> None:
        """Send what is pending and close. Whoever subscribed has unsubscribed before."""
        self._connected.clear()
        if self._task is not None:
            await end(self._task)
        await self._close()

    async def client(self) -> Client:
        """Return the client, once it is connected. Another call may return another one: keep none."""
        await self._connected.wait()
        if self._client is None:
            raise RuntimeError("the connection was stopped")
        return self._client

    async def request(
        self, subject: str, payload: bytes = b"", *, headers: Mapping[str, str] | None = None, timeout_s: float = 5.0
    ) -> bytes:
        """Send one request and return its answer.

        Raises:
            RapportError: BROKER_UNAVAILABLE: the broker is away or did not answer in time, or nobody listens.
        """
        try:
            async with asyncio.timeout(timeout_s):
                client = await self.client()
                answer = await client.request(
                    subject, payload, timeout=timeout_s, headers=dict(headers) if headers else None
                )
        except (TimeoutError, nats.errors.Error) as error:
            problem = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
            raise EVENT_ERRORS.error("BROKER_UNAVAILABLE", problem) from error
        return answer.data

    @property
    def jetstream(self) -> JetStreamApi:
        """Calls to JetStream over this connection."""
        return JetStreamApi(self, domain=self.settings.domain)

    async def check(self) -> None:
        """Say, for health, whether the broker can be reached.

        Raises:
            RapportError: NOT_READY.
        """
        if not self.is_connected:
            raise CHASSIS_ERRORS.error("NOT_READY", f"NATS cannot be reached: {self._last_error}")

    async def _keep(self) -> None:
        """Connect and stay connected. The client reconnects by itself; if the server turns it away it gives up."""
        while True:
            closed = asyncio.Event()
            try:
                async with asyncio.timeout(_ATTEMPT_S):
                    await self._connect(closed)
                await self._until_lost(closed)
            except (OSError, nats.errors.Error) as error:
                self._note(error)
            self._connected.clear()
            await self._close()
            await self._clock.sleep(_REBUILD_WAIT_S)

    async def _until_lost(self, closed: asyncio.Event) -> None:
        """Return once the client has given up, or is away for so long that it may hang in a handshake."""
        was_away = False
        while True:
            try:
                async with asyncio.timeout(_ATTEMPT_S):
                    await closed.wait()
                return
            except TimeoutError:
                is_away = not self._connected.is_set()
                if is_away and was_away:
                    return
                was_away = is_away

    async def _connect(self, closed: asyncio.Event) -> None:
        self._client = client = _Client(self.settings.tls)

        async def on_error(error: Exception) -> None:
            self._note(error)

        async def on_disconnect() -> None:
            if self._connected.is_set():
                self._connected.clear()
                get_logger().warning("nats_disconnected", target=self._user)

        async def on_reconnect() -> None:
            self._connected.set()
            get_logger().info("nats_connected", target=self._user)

        async def on_close() -> None:
            closed.set()

        options: dict[str, Any] = {"reconnect_time_wait": _RECONNECT_WAIT_S}  # typed as a whole number of seconds
        await client.connect(
            [url.strip() for url in self.settings.url.split(",")],
            name=self._user,
            inbox_prefix=f"_INBOX.{self._user}",
            max_reconnect_attempts=-1,
            connect_timeout=_CONNECT_TIMEOUT_S,
            ping_interval=_PING_INTERVAL_S,
            # Nothing is kept to be sent after a reconnect: whoever asked has given up by then.
            pending_size=0,
            error_cb=on_error,
            disconnected_cb=on_disconnect,
            reconnected_cb=on_reconnect,
            closed_cb=on_close,
            **options,
        )
        self._connected.set()
        get_logger().info("nats_connected", target=self._user)

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        # Draining hangs on a pull subscription with an unread status, and closing raises if the server is gone.
        with contextlib.suppress(OSError, nats.errors.Error, RapportError):
            if client.is_connected:
                await client.flush(_FLUSH_TIMEOUT_S)
        with contextlib.suppress(OSError, nats.errors.Error):
            async with asyncio.timeout(_CLOSE_S):
                await client.close()

    def _note(self, error: Exception) -> None:
        problem = type(error).__name__
        if problem != self._last_error:
            self._last_error = problem
            get_logger().warning("nats_error", target=self._user, error=problem)


class _Client(Client):
    """The client, reading its certificate anew for each connection it makes."""

    def __init__(self, files: TlsFiles | None) -> None:
        super().__init__()
        self._files = files
        if files is not None:
            self.options["tls"] = True

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """The context of the next connection."""
        if self._files is None:
            raise nats.errors.Error("nats: the server asks for a certificate and none is configured")
        return client_context(self._files)
