"""Connections to addresses that others name, without being led to where nobody outside may reach.

The name is resolved, every address it has is looked at, and the connection goes to one that was looked at: there is no
second look-up that could answer otherwise. TLS is verified against the name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Finds the addresses of a name."""

PORTS: Final = frozenset({443, 8443})
"""Ports of https that may be called."""

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


class Pinned(httpcore.AsyncNetworkBackend):
    """Connects to an address that was looked at.

    Args:
        resolve: Finds the addresses of a name.
        allowed: Says whether an address may be connected to; other than `is_public` for a closed network only.
        inner: Addresses of inner systems, by "name:port", which an operator has named and nobody looks up.
    """

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
        """Connect to a name, if every address it has may be connected to."""
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
        """Refuse."""
        raise httpcore.ConnectError("no sockets of this machine")

    async def sleep(self, seconds: float) -> None:
        """Wait before another attempt."""
        await asyncio.sleep(seconds)
