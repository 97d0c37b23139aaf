"""A server of this machine that takes posts over real TLS, under public names."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from rapport_chassis.outbound import Endpoint
from rapport_notification.sending.http import Poster

NAME: Final = "hooks.brand.example"
NAMES: Final = (NAME, "push.brand.example", "sms.brand.example")
Contexts = tuple[ssl.SSLContext, ssl.SSLContext]
"""For the server, and for who calls it."""
OK: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


class Request(NamedTuple):
    """What came.

    Attributes:
        headers: By names in small letters; the first line is "target".
        body: The body.
    """

    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """What was called."""
        return self.headers["target"].split()[1]

    @property
    def said(self) -> Any:
        """The body, of JSON."""
        return json.loads(self.body)


class Server:
    """Answers requests.

    Attributes:
        requests: What came.
        connections: How many there were.
        answer: What is answered; empty to end the connection instead.
        answers: The same for some paths.
        port: Where it listens.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.answer = OK
        self.answers: dict[str, bytes] = {}
        self.port = 0
        self._sessions: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def to(self, path: str) -> list[Request]:
        """Return what came to a path."""
        return [each for each in list(self.requests) if each.path == path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes over a connection."""
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._sessions[task] = writer
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                found = {"target": lines[0]} | dict(_header(line) for line in lines[1:] if line)
                request = Request(found, await reader.readexactly(int(found["content-length"])))
                self.requests.append(request)
                answer = self.answers.get(request.path, self.answer)
                if not answer:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            del self._sessions[task]

    async def start(self, context: ssl.SSLContext, port: int = 0) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self.serve, "127.0.0.1", port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End all connections, and listen no more."""
        self._server.close()
        for writer in self._sessions.values():
            writer.transport.abort()
        if self._sessions:
            await asyncio.wait(self._sessions)
        await self._server.wait_closed()


def contexts_in(folder: Path) -> Contexts:
    """Make a certificate for the names and return what serves under it and what trusts it; it stays as both.pem."""
    key, now = generate_private_key(SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    names = [x509.DNSName(each) for each in NAMES]
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([*names, x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    path = folder / "both.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem + certificate.public_bytes(Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cafile=str(path))


@asynccontextmanager
async def serving(contexts: Contexts) -> AsyncIterator[tuple[Server, Poster, Endpoint]]:
    """Serve; give the server, what posts to it, and its address."""
    answering = Server()
    await answering.start(contexts[0])
    inner = {f"{NAME}:{answering.port}": "127.0.0.1"}
    poster = Poster(timeout_s=5.0, context=contexts[1], inner=inner)
    try:
        yield answering, poster, poster.endpoint(f"https://{NAME}:{answering.port}/a?b=c")
    finally:
        await poster.close()
        await answering.stop()


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name.lower(), value
