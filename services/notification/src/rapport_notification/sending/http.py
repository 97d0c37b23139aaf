"""Posts to addresses that others name, without being led to where nobody outside may reach.

The name is resolved, every address it has is looked at, and the connection goes to one that was looked at: there is no
second look-up that could answer otherwise. No redirect is followed, no proxy asked, nothing of an answer kept but its
status and when to come again. TLS is verified against the name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore

from rapport_notification.sending.outcome import Handed, Outcome

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

ANSWER_LIMIT: Final = 4096
DRAIN_S: Final = 1.0
PORTS: Final = frozenset({443, 8443})

_NAME: Final = re.compile(
    r"(?=.{4,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])\Z"
)
_PATH: Final = re.compile(r"[!#$%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]*\Z")
_INNER: Final = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home.arpa", ".test", ".invalid", ".onion")
# Each carries an IPv4 address within, which would have to be looked at as well; no endpoint needs them.
_CARRIERS: Final = tuple(
    map(ipaddress.ip_network, ("::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
)


class EndpointRefusedError(ValueError):
    """An endpoint is not one that may be called. The text says why, and does not quote it."""


class _WithdrawnError(Exception):
    """The last look before the first byte forbade it."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL that may be posted to.

    Attributes:
        host: A name with a dot, in small letters: never an address, in whatever form.
        port: Of `PORTS`, but for inner systems.
        target: Path and query.
    """

    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, url: str, *, inner: Container[str] = ()) -> Endpoint:
        """Read a URL.

        Args:
            url: The URL.
            inner: Names with a port, "crm.brand.example:9443", that may be called though no other port may.

        Raises:
            EndpointRefusedError: It is not https, names an address or an inner name, a user, another port, or holds
                what no URL holds.
        """
        if not url.isascii() or len(url) > 2000 or not _PATH.match(url):
            raise EndpointRefusedError("an endpoint is a URL in plain ASCII")
        try:
            parts = urlsplit(url)
            port = parts.port or 443
        except ValueError as error:
            raise EndpointRefusedError("not a URL") from error
        host = parts.netloc.lower().removesuffix(f":{port}")
        if parts.scheme != "https" or parts.fragment or "\\" in url:
            raise EndpointRefusedError("an endpoint is https, without a fragment")
        if not _NAME.match(host) or host.endswith(_INNER):
            raise EndpointRefusedError("an endpoint has a public name, and no user")
        if port not in PORTS and f"{host}:{port}" not in inner:
            raise EndpointRefusedError("an endpoint is on a port for https")
        return cls(host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))

    @property
    def origin(self) -> str:
        """Scheme, host and port, as a browser writes them."""
        return f"https://{self.host}" + ("" if self.port == 443 else f":{self.port}")


def is_public(address: str) -> bool:
    """Say whether an address is one that anybody on the internet could reach."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if any(found in net for net in _CARRIERS if net.version == found.version):
        return False
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name, by the machine's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


class _Pinned(httpcore.AsyncNetworkBackend):
    """Connects to an address that was looked at."""

    def __init__(self, resolve: Resolve, allowed: Callable[[str], bool], inner: Mapping[str, str]) -> None:
        self._resolve = resolve
        self._allowed = allowed
        self._inner = inner
        self._real = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._addresses(host, port)
        failure: Exception = httpcore.ConnectError("no address")
        for address in addresses:
            try:
                return await self._real.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        if (own := self._inner.get(f"{host}:{port}")) is not None:
            return [own]
        try:
            addresses = await self._resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError("no such name") from error
        # One that may not be reached among those that may: the name is not to be trusted with any.
        if not addresses or not all(map(self._allowed, addresses)):
            raise httpcore.ConnectError("the name does not lead to the internet")
        return addresses

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError("no sockets of this machine")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Poster:
    """Posts bodies to endpoints, over connections that are kept for some seconds."""

    def __init__(
        self,
        *,
        timeout_s: float = 20.0,
        connections: int = 100,
        context: ssl.SSLContext | None = None,
        resolve: Resolve = resolve,
        allowed: Callable[[str], bool] = is_public,
        inner: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Open nothing yet.

        Args:
            timeout_s: For a whole call.
            connections: Open at once.
            context: For TLS; None for the public authorities.
            resolve: Finds the addresses of a name.
            allowed: Says whether an address may be connected to.
            inner: Inner systems that may be called all the same: name with port, and the one address it is at.
        """
        self._timeout_s = timeout_s
        self._inner = inner
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=connections,
            keepalive_expiry=5.0,
            network_backend=_Pinned(resolve, allowed, inner),
        )

    def endpoint(self, url: str) -> Endpoint:
        """Read the URL of an endpoint that this may post to.

        Raises:
            EndpointRefusedError: It is none.
        """
        return Endpoint.parse(url, inner=self._inner)

    async def close(self) -> None:
        """Close what is open."""
        await self._pool.aclose()

    async def post(
        self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes, may_send: Callable[[], bool]
    ) -> Outcome:
        """Post a body.

        Args:
            endpoint: Where.
            headers: Beside host and length.
            body: What.
            may_send: Asked right before the first byte; False sends nothing.

        Returns:
            SENT for 2xx. DEFERRED for any other answer, with the status: what it means depends on the channel.
            UNREACHABLE, WITHDRAWN, or UNKNOWN if it broke once the first byte was written.
        """
        begun = False

        async def watch(event: str, _: Mapping[str, Any]) -> None:
            nonlocal begun
            if event.endswith("send_request_headers.started"):
                if not may_send():
                    raise _WithdrawnError
                begun = True

        request = httpcore.Request(
            "POST",
            httpcore.URL(scheme=b"https", host=endpoint.host, port=endpoint.port, target=endpoint.target),
            headers=[
                (b"host", endpoint.origin.removeprefix("https://").encode()),
                (b"content-length", str(len(body)).encode()),
                *((name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()),
            ],
            content=body,
            extensions={
                "trace": watch,
                "timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._timeout_s),
            },
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._answer(request)
        except _WithdrawnError:
            return Outcome(Handed.WITHDRAWN)
        except (TimeoutError, OSError, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
            return Outcome(Handed.UNKNOWN if begun else Handed.UNREACHABLE)

    async def _answer(self, request: httpcore.Request) -> Outcome:
        answer = await self._pool.handle_async_request(request)
        found = dict(answer.headers)
        handed = Handed.SENT if 200 <= answer.status < 300 else Handed.DEFERRED
        # Its body is read only so that the connection can be used again: whatever comes of that, the answer is known.
        try:
            with suppress(TimeoutError, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
                async with asyncio.timeout(DRAIN_S):
                    await _drain(answer)
        finally:
            await answer.aclose()
        return Outcome(handed, answer.status, retry_after_s=_seconds(found.get(b"retry-after", b"")))


async def _drain(answer: httpcore.Response) -> None:
    size = 0
    async for piece in answer.aiter_stream():
        size += len(piece)
        if size > ANSWER_LIMIT:
            break


def _seconds(text: bytes) -> float | None:
    """Return a Retry-After in seconds; a date says nothing without a common clock."""
    return float(text) if text.isdigit() and len(text) < 7 else None
