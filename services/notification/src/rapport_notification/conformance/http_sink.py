"""A provider over HTTPS that takes every post, counts it, and fails where it is told to."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

_LENGTH: Final = re.compile(rb"^content-length: *([0-9]+)", re.IGNORECASE | re.MULTILINE)
_PIECE: Final = 16


class HttpFault(Enum):
    """Where a call breaks."""

    NONE = "none"
    REFUSE = "400"
    GONE = "410"
    THROTTLE = "429 with Retry-After"
    FAIL = "503"
    REDIRECT = "302 to another path"
    DROP_AT_ONCE = "closes as soon as the connection stands"
    DROP_IN_REQUEST = "closes within the request"
    DROP_UNTAKEN = "closes after the request without having taken it"
    DROP_AFTER_REQUEST = "takes it and closes without an answer"
    STALL_AFTER_REQUEST = "takes it and never answers"
    NONSENSE_AFTER_REQUEST = "takes it and answers what is no HTTP"


UNTELLABLE: Final = frozenset(
    {
        HttpFault.DROP_AT_ONCE,
        HttpFault.DROP_IN_REQUEST,
        HttpFault.DROP_UNTAKEN,
        HttpFault.DROP_AFTER_REQUEST,
        HttpFault.STALL_AFTER_REQUEST,
        HttpFault.NONSENSE_AFTER_REQUEST,
    }
)
"""Where nobody could tell what became of it."""

_ANSWERS: Final = {
    HttpFault.NONE: b"200 OK",
    HttpFault.REFUSE: b"400 Bad Request",
    HttpFault.GONE: b"410 Gone",
    HttpFault.THROTTLE: b"429 Too Many Requests\r\nretry-after: 17",
    HttpFault.FAIL: b"503 Service Unavailable",
    HttpFault.REDIRECT: b"302 Found\r\nlocation: /elsewhere",
    HttpFault.NONSENSE_AFTER_REQUEST: b"?",
}
_TAKES: Final = frozenset(
    {
        HttpFault.NONE,
        HttpFault.DROP_AFTER_REQUEST,
        HttpFault.STALL_AFTER_REQUEST,
        HttpFault.NONSENSE_AFTER_REQUEST,
    }
)


@dataclass(slots=True)
class Posted:
    """What the sink has taken.

    Attributes:
        ids: How often each id came.
        tried: How many calls were begun.
    """

    ids: Counter[str] = field(default_factory=Counter)
    tried: int = 0


class HttpSink:
    """Listens on a free port of this machine; each connection takes one call.

    Args:
        context: For TLS.
        header: That holds the id of a message.
        fault: Called with the number of each call, from 0.
    """

    def __init__(self, context: ssl.SSLContext, header: str, fault: Callable[[int], HttpFault]) -> None:
        self.taken = Posted()
        self.port = 0
        self._context = context
        self._id = re.compile(rf"^{re.escape(header)}: *(\S+)".encode(), re.IGNORECASE | re.MULTILINE)
        self._fault = fault
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> HttpSink:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop, and close what is open."""
        assert self._server is not None
        self._server.close()
        for writer in self._open.values():
            writer.transport.abort()
        if self._open:
            await asyncio.wait(self._open)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        fault = self._fault(self.taken.tried)
        self.taken.tried += 1
        try:
            await self._call(fault, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # whoever called has left
        finally:
            writer.close()
            del self._open[task]

    async def _call(self, fault: HttpFault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if fault is HttpFault.DROP_AT_ONCE:
            return
        if fault is HttpFault.DROP_IN_REQUEST:
            await reader.readexactly(_PIECE)
            return
        head = await reader.readuntil(b"\r\n\r\n")
        length, named = _LENGTH.search(head), self._id.search(head)
        await reader.readexactly(int(length[1]) if length is not None else 0)
        if fault in _TAKES:
            self.taken.ids[named[1].decode() if named is not None else ""] += 1
        if fault is HttpFault.STALL_AFTER_REQUEST:
            await reader.read()  # until whoever called has had enough
        elif (answer := _ANSWERS.get(fault)) is not None:
            known = b"" if fault is HttpFault.NONSENSE_AFTER_REQUEST else b"HTTP/1.1 "
            writer.write(known + answer + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
