"""Posts to addresses that others name, connected to as `rapport_chassis.outbound` says.

No redirect is followed, no proxy asked, nothing of an answer kept but its status and when to come again.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final

import httpcore
from rapport_chassis.outbound import Endpoint, Pinned, Resolve, is_public, resolve

from rapport_notification.sending.outcome import Handed, Outcome

ANSWER_LIMIT: Final = 4096
DRAIN_S: Final = 1.0


class _WithdrawnError(Exception):
    """The last look before the first byte forbade it."""


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
            network_backend=Pinned(resolve, allowed, inner),
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
