"""Hands mails to a mail server, over connections that are kept.

An answer tells where it broke. Before the body is written nothing can have been taken; once the first byte of it has
been written and no answer came, nobody can tell.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import aiosmtplib

from rapport_notification.sending.fields import Address, Token
from rapport_notification.sending.outcome import Handed, Outcome

_STATUS: Final = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:\s|$)")
_QUEUED: Final = re.compile(r"queued as ([0-9A-Za-z.-]{4,64})|\bid[= ]([0-9A-Za-z.-]{4,64})", re.IGNORECASE)
_BROKEN: Final = (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError, OSError)
_READY: Final = 354
_DONE: Final = 250
_LEAVING: Final = 421


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """A mail server.

    Attributes:
        host: Its name.
        port: Its port.
        tls: "always" from the first byte, "starttls", or "never", which is for a relay on the same machine.
        username: To log in with; empty for none.
        password: To it.
        connections: How many are open at most.
        messages: How many go over one before it is closed; some servers take no more.
        timeout_s: How long each answer may take. Four of them stay below the ledger's transfer time.
        context: For TLS; None for the machine's authorities.
    """

    host: str
    port: int
    tls: str = "starttls"
    username: str = ""
    password: str = field(default="", repr=False)
    connections: int = 8
    messages: int = 500
    timeout_s: float = 14.0
    context: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who a mail is from and to, for the server.

    Attributes:
        return_path: Where bounces go.
        recipient: Where the mail goes.
        reference: Comes back in bounces of servers that know ENVID (RFC 3461).
    """

    return_path: Address
    recipient: Address
    reference: Token | None = None


@dataclass(slots=True)
class _Connection:
    client: aiosmtplib.SMTP
    sent: int = 0


class SmtpPool:
    """Sends mails over at most so many connections; a message waits for a free one."""

    def __init__(self, settings: SmtpSettings) -> None:
        """Open nothing yet."""
        self._settings = settings
        self._idle: list[_Connection] = []
        self._slots = asyncio.Semaphore(settings.connections)

    async def close(self) -> None:
        """Take leave of the server."""
        while self._idle:
            await self._leave(self._idle.pop())

    async def send(self, envelope: Envelope, mail: bytes, may_send: Callable[[], bool]) -> Outcome:
        """Hand a mail over.

        Args:
            envelope: From whom, to whom.
            mail: Its bytes; each line ends with CR LF.
            may_send: Asked right before DATA; False sends nothing.

        Returns:
            What came of it. It raises nothing that a server or a network can cause; cancelled, it closes the
            connection, and the caller cannot know what came of it.
        """
        async with self._slots:
            while True:
                try:
                    connection = await self._ready()
                except aiosmtplib.SMTPResponseException as refusal:
                    return _refused(refusal.code, refusal.message, of_server=True)
                except (aiosmtplib.SMTPException, OSError, ValueError):
                    return Outcome(Handed.UNREACHABLE)
                kept = connection.sent > 0
                async with self._borrowed(connection):
                    outcome = await self._transact(connection, envelope, mail, may_send)
                # A server may close a connection that was kept, at any time; nothing of this mail had left.
                if outcome.handed is not Handed.UNREACHABLE or not kept:
                    return outcome

    async def _ready(self) -> _Connection:
        """Return a connection that answers: one that was kept may have been closed by the server meanwhile."""
        while self._idle:
            connection = self._idle.pop()
            if connection.client.is_connected and connection.sent < self._settings.messages:
                return connection
            await self._leave(connection)
        settings = self._settings
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            use_tls=settings.tls == "always",
            start_tls=settings.tls == "starttls",
            tls_context=settings.context,
            username=settings.username or None,
            password=settings.password or None,
            timeout=settings.timeout_s,
        )
        try:
            await client.connect()
            await client.ehlo()
        except BaseException:
            client.close()
            raise
        return _Connection(client)

    @asynccontextmanager
    async def _borrowed(self, connection: _Connection) -> AsyncIterator[None]:
        clean = False
        try:
            yield
            clean = True
        finally:
            if clean and connection.client.is_connected:
                self._idle.append(connection)
            else:
                connection.client.close()

    async def _transact(
        self, connection: _Connection, envelope: Envelope, mail: bytes, may_send: Callable[[], bool]
    ) -> Outcome:
        client = connection.client
        try:
            if refusal := await self._envelope(client, envelope):
                return refusal
            if not may_send():
                await client.rset()
                return Outcome(Handed.WITHDRAWN)
            answer = await client.execute_command(b"DATA")
        except _BROKEN:
            client.close()
            return Outcome(Handed.UNREACHABLE)
        if answer.code != _READY:
            return await self._reset(client, _refused(answer.code, answer.message))
        connection.sent += 1
        try:
            return await self._body(client, mail)
        except _BROKEN:
            client.close()
            return Outcome(Handed.UNKNOWN)

    async def _envelope(self, client: aiosmtplib.SMTP, envelope: Envelope) -> Outcome | None:
        knows_dsn = client.supports_extension("dsn")
        sender = [b"MAIL", b"FROM:<" + envelope.return_path.value.encode() + b">"]
        if knows_dsn and envelope.reference is not None:
            sender += [b"RET=HDRS", b"ENVID=" + _xtext(envelope.reference.value)]
        recipient = [b"RCPT", b"TO:<" + envelope.recipient.value.encode() + b">"]
        if knows_dsn:
            recipient.append(b"NOTIFY=FAILURE,DELAY")
        for command in (sender, recipient):
            answer = await client.execute_command(*command)
            if answer.code // 100 != 2:
                refusal = _refused(answer.code, answer.message, of_server=command is sender)
                return await self._reset(client, refusal)
        return None

    async def _body(self, client: aiosmtplib.SMTP, mail: bytes) -> Outcome:
        protocol = client.protocol
        if protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("connection lost")
        stuffed = mail.replace(b"\r\n.", b"\r\n..")
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        # Written here and not by `data`, which does not say whether the body had been begun when it broke.
        protocol.write(stuffed + (b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n"))
        answer = await protocol.read_response(timeout=self._settings.timeout_s)
        if answer.code != _DONE:
            if answer.code == _LEAVING:
                client.close()
            return _refused(answer.code, answer.message)
        found = _QUEUED.search(answer.message)
        reference = (found[1] or found[2]) if found else ""
        return Outcome(Handed.SENT, answer.code, _status(answer.message), reference)

    async def _reset(self, client: aiosmtplib.SMTP, outcome: Outcome) -> Outcome:
        with suppress(aiosmtplib.SMTPException, OSError):
            await client.rset()
        return outcome

    async def _leave(self, connection: _Connection) -> None:
        with suppress(aiosmtplib.SMTPException, OSError):
            await connection.client.quit(timeout=1.0)
        connection.client.close()


def _refused(code: int, message: str, *, of_server: bool = False) -> Outcome:
    """Return what a refusal means: one of the server itself says nothing of the message, and may pass."""
    final = code // 100 == 5 and not of_server
    return Outcome(Handed.REFUSED if final else Handed.DEFERRED, max(code, 0), _status(message))


def _status(message: str) -> str:
    found = _STATUS.match(message)
    return found[1] if found else ""


def _xtext(text: str) -> bytes:
    return b"".join(b"+%02X" % octet if octet in b"+=" else bytes([octet]) for octet in text.encode("ascii"))
