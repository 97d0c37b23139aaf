"""A mail server that takes everything, counts it, and fails where it is told to. It speaks only what a client needs.

Beyond the standard, VRFY takes a Message-ID and says whether it has taken that message: a peer that can be asked.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final, cast

_MESSAGE_ID: Final = re.compile(rb"^message-id:\s*<([^>]+)>", re.IGNORECASE | re.MULTILINE)
_END: Final = b"\r\n.\r\n"


class Fault(Enum):
    """Where a transaction breaks."""

    NONE = "none"
    REFUSE_SENDER = "451 at MAIL"
    REFUSE_RECIPIENT = "550 at RCPT"
    GREYLIST = "450 at RCPT"
    DROP_AT_SENDER = "closes at MAIL"
    DROP_AT_DATA = "closes at DATA"
    REFUSE_DATA = "451 at DATA"
    DROP_IN_BODY = "closes within the body"
    REFUSE_BODY = "554 after the body"
    DEFER_BODY = "451 after the body"
    LEAVE_AFTER_BODY = "421 after the body, which it did not take"
    DROP_AFTER_BODY = "takes it and closes without an answer"
    STALL_AFTER_BODY = "takes it and never answers"
    DROP_UNTAKEN = "closes after the body without having taken it"


@dataclass(slots=True)
class Taken:
    """What the sink has taken.

    Attributes:
        ids: How often each Message-ID came.
        mails: Their bytes, where they are kept.
        began: When DATA was begun of each that is kept: seconds of `time.monotonic`.
        sessions: How many connections were made.
        tried: How many transactions were begun.
    """

    ids: Counter[str] = field(default_factory=Counter)
    mails: list[bytes] = field(default_factory=list)
    began: list[float] = field(default_factory=list)
    sessions: int = 0
    tried: int = 0


class SmtpSink:
    """Listens on a free port of this machine."""

    def __init__(
        self,
        fault: Callable[[int], Fault] | None = None,
        *,
        keep: bool = False,
        dsn: bool = False,
        log: Path | None = None,
        folder: Path | None = None,
    ) -> None:
        """Choose what goes wrong.

        Args:
            fault: Called with the number of each transaction, from 0.
            keep: Keep the mails themselves.
            dsn: Say that it knows DSN.
            log: Where it logs what it has taken, as Postfix does.
            folder: Where each mail is written into a file, for a person to look at.
        """
        self.taken = Taken()
        self.address = ("127.0.0.1", 0)
        self._fault = fault or (lambda _: Fault.NONE)
        self._keep = keep
        self._log = log
        self._folder = folder
        self._greeting = b"250-sink\r\n250-DSN\r\n250 8BITMIME\r\n" if dsn else b"250-sink\r\n250 8BITMIME\r\n"
        self._open: set[asyncio.Transport] = set()
        self._none_open = asyncio.Event()
        self._none_open.set()
        self._took = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> SmtpSink:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Session(self), *self.address)
        self.address = self._server.sockets[0].getsockname()[:2]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop, and close what is open."""
        assert self._server is not None
        self._server.close()
        self.close_sessions()
        await self._none_open.wait()
        await self._server.wait_closed()

    def close_sessions(self) -> None:
        """Break every connection."""
        for transport in list(self._open):
            transport.abort()

    async def until(self, count: int) -> None:
        """Return when so many mails have been taken."""
        while sum(self.taken.ids.values()) < count:
            self._took.clear()
            await self._took.wait()

    def seen(self, message_id: str) -> bool:
        """Say whether a message was taken: what a peer that can be asked answers."""
        return message_id in self.taken.ids


class _Session(asyncio.Protocol):
    def __init__(self, sink: SmtpSink) -> None:
        self._sink = sink
        self._buffer = bytearray()
        self._body = False
        self._fault = Fault.NONE
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # of uvloop it is no subclass
        self._sink._open.add(self._transport)
        self._sink._none_open.clear()
        self._sink.taken.sessions += 1
        self._transport.write(b"220 sink\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self._sink._open.discard(self._transport)
        if not self._sink._open:
            self._sink._none_open.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while not self._transport.is_closing() and (self._take_body() if self._body else self._take_line()):
            pass

    def _take_line(self) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return False
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        self._answer(line[:4].upper(), line)
        return True

    def _answer(self, verb: bytes, line: bytes) -> None:
        if verb == b"EHLO":
            self._transport.write(self._sink._greeting)
        elif verb == b"MAIL":
            self._fault = self._sink._fault(self._sink.taken.tried)
            self._sink.taken.tried += 1
            self._say(b"250 2.1.0 ok", {Fault.REFUSE_SENDER: b"451 4.3.2 not now", Fault.DROP_AT_SENDER: b""})
        elif verb == b"RCPT":
            refusals = {Fault.REFUSE_RECIPIENT: b"550 5.1.1 no such user", Fault.GREYLIST: b"450 4.7.1 greylisted"}
            self._say(b"250 2.1.5 ok", refusals)
        elif verb == b"DATA":
            self._began = time.monotonic()
            self._body = self._fault not in {Fault.DROP_AT_DATA, Fault.REFUSE_DATA}
            self._say(b"354 go on", {Fault.REFUSE_DATA: b"451 4.3.0 not now", Fault.DROP_AT_DATA: b""})
        elif verb == b"VRFY":
            known = self._sink.seen(line[5:].decode("ascii", "replace"))
            self._transport.write(b"250 2.0.0 seen\r\n" if known else b"550 5.1.1 never seen\r\n")
        elif verb == b"QUIT":
            self._transport.write(b"221 bye\r\n")
            self._transport.close()
        else:
            self._transport.write(b"250 ok\r\n")

    def _take_body(self) -> bool:
        if self._fault is Fault.DROP_IN_BODY and self._buffer:
            self._transport.abort()
            return False
        end = self._buffer.find(_END)
        if end < 0:
            return False
        mail = bytes(self._buffer[: end + 2])
        del self._buffer[: end + len(_END)]
        self._body = False
        untaken = {Fault.REFUSE_BODY, Fault.DEFER_BODY, Fault.LEAVE_AFTER_BODY, Fault.DROP_UNTAKEN}
        if self._fault not in untaken:
            self._count(mail)
        if self._fault is not Fault.STALL_AFTER_BODY:
            answers = {
                Fault.REFUSE_BODY: b"554 5.7.1 not wanted",
                Fault.DEFER_BODY: b"451 4.3.0 not now",
                Fault.LEAVE_AFTER_BODY: b"421 4.3.2 leaving",
                Fault.DROP_AFTER_BODY: b"",
                Fault.DROP_UNTAKEN: b"",
            }
            self._say(b"250 2.0.0 ok: queued as SINK%06d" % self._sink.taken.tried, answers)
        return True

    def _count(self, mail: bytes) -> None:
        found = _MESSAGE_ID.search(mail)
        message_id = found[1].decode() if found else ""
        self._sink.taken.ids[message_id] += 1
        if self._sink._log is not None:
            with self._sink._log.open("a", encoding="utf-8") as log:
                log.write(f"postfix/cleanup: SINK{self._sink.taken.tried:06d}: message-id=<{message_id}>\n")
        self._sink._took.set()
        plain = mail.replace(b"\r\n..", b"\r\n.")
        if self._sink._keep:
            self._sink.taken.began.append(self._began)
            self._sink.taken.mails.append(plain)
        if self._sink._folder is not None:
            whole = self._sink._folder / f".{message_id.partition('@')[0]}.eml"
            whole.write_bytes(plain)
            whole.replace(whole.with_name(whole.name.removeprefix(".")))

    def _say(self, answer: bytes, faults: dict[Fault, bytes]) -> None:
        said = faults.get(self._fault, answer)
        if said:
            self._transport.write(said + b"\r\n")
        else:
            self._transport.abort()
