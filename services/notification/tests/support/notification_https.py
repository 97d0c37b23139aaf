"""A server of this machine that takes posts over real TLS, under a public name."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from rapport_notification.sending.http import Endpoint, Poster

NAME: Final = "hooks.brand.example"
Contexts = tuple[ssl.SSLContext, ssl.SSLContext]
"""For the server, and for who calls it."""


class Server:
    """Answers every request the same.

    Attributes:
        requests: What came: headers, with the first line as "target", and the body.
        connections: How many there were.
        answer: What is answered; empty to end the connection instead.
        port: Where it listens.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.connections = 0
        self.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
        self.port = 0
        self._sessions: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes over a connection."""
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                found = {"target": lines[0]} | dict(_header(line) for line in lines[1:] if line)
                self.requests.append((found, await reader.readexactly(int(found["content-length"]))))
                if not self.answer:
                    break
                writer.write(self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self._sessions.discard(task)

    async def ended(self) -> None:
        """Wait until all connections are closed."""
        if self._sessions:
            await asyncio.wait(self._sessions)


@asynccontextmanager
async def serving(contexts: Contexts) -> AsyncIterator[tuple[Server, Poster, Endpoint]]:
    """Serve; give the server, what posts to it, and its address."""
    answering = Server()
    server = await asyncio.start_server(answering.serve, "127.0.0.1", 0, ssl=contexts[0])
    answering.port = server.sockets[0].getsockname()[1]

    async def resolve(host: str, port: int) -> list[str]:
        assert host == NAME
        return ["127.0.0.1"]

    poster = Poster(timeout_s=5.0, context=contexts[1], resolve=resolve, allowed=lambda each: each == "127.0.0.1")
    try:
        url = f"https://{NAME}:{answering.port}/a?b=c"
        yield answering, poster, Endpoint.parse(url, ports=[answering.port])
    finally:
        await poster.close()
        await answering.ended()
        server.close()
        await server.wait_closed()


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name.lower(), value
