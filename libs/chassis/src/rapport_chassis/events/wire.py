"""A bare connection to NATS for many requests at once: batches go out in one write, answers are matched by token.

The relay publishes through it. The general client spends about 50 us of CPU on a message and its answer, this 10 us; it
also keeps unsent messages over a reconnect, where the relay must know that nothing is sent after a connection is lost.
One connection, no reconnect: whoever uses it opens another.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

from rapport_chassis.events.errors import EVENT_ERRORS
from rapport_chassis.events.tls import client_context
from rapport_chassis.settings import NatsSettings

_CONNECT_TIMEOUT_S: Final = 5.0
_ANSWER_SID: Final = b"1"
_HEADERS: Final = re.compile(r"(?:[!-9;-~]+: [ -~]*\r\n)+")
_DEFAULT_PORT: Final = 4222


@dataclass(frozen=True, slots=True)
class Request:
    """A message that asks for an answer."""

    subject: str
    payload: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class WireError(Exception):
    """The connection could not be made, or the server refused it; the text is fit for health detail."""


class Wire(asyncio.Protocol):
    """One connection. `exchange` may be called by one task at a time."""

    def __init__(self, user: str) -> None:
        self._inbox = f"_INBOX.{user}.{secrets.token_hex(11)}"
        self._inbox_length = len(self._inbox) + 1
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._info: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closed = asyncio.Event()
        self._last_error = "the connection was lost"
        self._next_token = 0
        self._first_token = 0
        self._answers: list[bytes | None] = []
        self._missing = 0
        self._complete: asyncio.Event = asyncio.Event()

    @classmethod
    async def open(cls, settings: NatsSettings, *, user: str) -> Wire:
        """Connect to the first server that answers; the certificate files are read now.

        Args:
            settings: Servers and certificate.
            user: Names the inbox, which is the only subject the user may subscribe to.

        Raises:
            WireError: No server could be reached, or each refused.
        """
        problem = "no server is configured"
        for url in settings.url.split(","):
            wire = cls(user)
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                    await wire._connect(url.strip(), settings)
                return wire
            except (OSError, TimeoutError, WireError) as error:
                problem = str(error) or type(error).__name__
                wire.close()
        raise WireError(f"NATS cannot be reached: {problem}")

    @property
    def is_open(self) -> bool:
        """Whether the connection still stands, as far as is known here."""
        return not self._closed.is_set()

    @property
    def problem(self) -> str:
        """Why the connection ended."""
        return self._last_error

    async def exchange(self, requests: Sequence[Request], *, timeout_s: float) -> list[bytes | None]:
        """Send all requests in one write and return their answers in the same order.

        An answer is None if it did not come within `timeout_s` seconds or before the connection ended; it is empty if
        nobody listens on the subject.

        Raises:
            ValueError: A header holds a line break or another character that cannot be sent.
        """
        self._first_token = self._next_token
        self._next_token += len(requests)
        self._answers = [None] * len(requests)
        self._missing = len(requests)
        self._complete.clear()
        frames = [self._frame(request, token) for token, request in enumerate(requests, self._first_token)]
        if self._transport is None or not requests or self._closed.is_set():
            return self._answers
        self._transport.write(b"".join(frames))
        try:
            async with asyncio.timeout(timeout_s):
                await self._complete.wait()
        except TimeoutError:
            self._last_error = f"no answer within {timeout_s:g} s"
        answers, self._answers, self._missing = self._answers, [], 0
        return answers

    async def request(
        self, subject: str, payload: bytes = b"", *, headers: Mapping[str, str] | None = None, timeout_s: float = 5.0
    ) -> bytes:
        """Send one request and return its answer.

        Raises:
            RapportError: BROKER_UNAVAILABLE: none came, or nobody listens.
        """
        (answer,) = await self.exchange([Request(subject, payload, headers or {})], timeout_s=timeout_s)
        if not answer:
            problem = "nobody listens on the subject" if answer is not None else self._last_error
            raise EVENT_ERRORS.error("BROKER_UNAVAILABLE", problem)
        return answer

    def close(self) -> None:
        """End the connection at once; what was written and not yet sent is lost."""
        self._closed.set()
        self._complete.set()
        if self._transport is not None:
            self._transport.abort()

    async def _connect(self, url: str, settings: NatsSettings) -> None:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _DEFAULT_PORT
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, host, port)
        transport = cast("asyncio.Transport", self._transport)
        info = await self._info
        if info.get("tls_required") or settings.tls is not None:
            if settings.tls is None:
                raise WireError("the server asks for a client certificate and none is configured")
            secured = await loop.start_tls(transport, self, client_context(settings.tls), server_hostname=host)
            if secured is None:
                raise WireError("the server closed the connection")
            self._transport = transport = secured
        options = {
            "verbose": False,
            "pedantic": False,
            "protocol": 1,
            "headers": True,
            "no_responders": True,
            "lang": "python",
            "version": "1",
            "name": self._inbox.split(".")[1],
            "tls_required": settings.tls is not None,
        }
        if parts.username is not None:
            options |= {"user": unquote(parts.username), "pass": unquote(parts.password or "")}
        opening = f"CONNECT {json.dumps(options)}\r\nSUB {self._inbox}.* {_ANSWER_SID.decode()}\r\nPING\r\n"
        transport.write(opening.encode())
        await self._pong

    def _frame(self, request: Request, token: int) -> bytes:
        reply = f"{self._inbox}.{token}"
        if not request.headers:
            line = f"PUB {request.subject} {reply} {len(request.payload)}\r\n"
            return b"%b%b\r\n" % (line.encode(), request.payload)
        lines = "".join([f"{name}: {value}\r\n" for name, value in request.headers.items()])
        if lines.count("\n") != len(request.headers) or not _HEADERS.fullmatch(lines):
            raise ValueError("a header holds a character that cannot be sent")
        head = f"NATS/1.0\r\n{lines}\r\n"
        line = f"HPUB {request.subject} {reply} {len(head)} {len(head) + len(request.payload)}\r\n"
        return b"%b%b\r\n" % ((line + head).encode("ascii"), request.payload)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio calls this)."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits (asyncio calls this)."""
        self._closed.set()
        self._complete.set()
        for future in (self._info, self._pong):
            if not future.done():
                future.set_exception(WireError(self._last_error))
                future.exception()  # read: whoever connects may have given up already

    def data_received(self, data: bytes) -> None:
        """Take apart what the server sent (asyncio calls this)."""
        buffer = self._buffer + data if self._buffer else data
        position = 0
        while (end := buffer.find(b"\r\n", position)) >= 0:
            line = buffer[position:end]
            if line.startswith((b"MSG ", b"HMSG ")):
                words = line.split()
                after = end + 2 + int(words[-1]) + 2
                if after > len(buffer):
                    break
                skipped = int(words[-2]) if line[0] == 72 else 0  # "H": headers come before the payload
                self._answer(words[1], buffer[end + 2 + skipped : after - 2])
                position = after
            else:
                self._control(line)
                position = end + 2
        self._buffer = buffer[position:]

    def _answer(self, subject: bytes, payload: bytes) -> None:
        index = int(subject[self._inbox_length :]) - self._first_token
        if 0 <= index < len(self._answers) and self._answers[index] is None:
            self._answers[index] = payload
            self._missing -= 1
            if self._missing == 0:
                self._complete.set()

    def _control(self, line: bytes) -> None:
        if line.startswith(b"PING") and self._transport is not None:
            self._transport.write(b"PONG\r\n")
        elif line.startswith(b"PONG") and not self._pong.done():
            self._pong.set_result(None)
        elif line.startswith(b"INFO ") and not self._info.done():
            self._info.set_result(json.loads(line[5:]))
        elif line.startswith(b"-ERR"):
            # A permission error leaves the connection open: the request it answers would wait in vain.
            self._last_error = line[5:].decode("ascii", "replace").strip(" '").split(" for ")[0]
            self._complete.set()
            if not self._pong.done():
                self._pong.set_exception(WireError(self._last_error))
