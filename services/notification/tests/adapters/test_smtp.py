"""Handing mails to a mail server: what each way of breaking is told as, and that connections are used again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiosmtpd.smtp import SMTP
from rapport_notification.conformance.smtp_sink import Fault, SmtpSink
from rapport_notification.sending.fields import Address, Token
from rapport_notification.sending.mime import write
from rapport_notification.sending.outcome import Handed
from rapport_notification.sending.smtp import Envelope, SmtpPool, SmtpSettings

ENVELOPE = Envelope(Address("b+1@brand.example"), Address("a@example.org"), Token("ntf_1+x"))


@asynccontextmanager
async def pool_to(sink: SmtpSink, **changes) -> AsyncIterator[SmtpPool]:
    host, port = sink.address
    pool = SmtpPool(replace(SmtpSettings(host, port, tls="never", connections=1, timeout_s=5.0), **changes))
    try:
        yield pool
    finally:
        await pool.close()


def yes() -> bool:
    return True


CERTAIN = {
    Fault.REFUSE_SENDER: (Handed.DEFERRED, 451, "4.3.2"),
    Fault.REFUSE_RECIPIENT: (Handed.REFUSED, 550, "5.1.1"),
    Fault.GREYLIST: (Handed.DEFERRED, 450, "4.7.1"),
    Fault.DROP_AT_SENDER: (Handed.UNREACHABLE, 0, ""),
    Fault.DROP_AT_DATA: (Handed.UNREACHABLE, 0, ""),
    Fault.REFUSE_DATA: (Handed.DEFERRED, 451, "4.3.0"),
    Fault.REFUSE_BODY: (Handed.REFUSED, 554, "5.7.1"),
    Fault.DEFER_BODY: (Handed.DEFERRED, 451, "4.3.0"),
    Fault.LEAVE_AFTER_BODY: (Handed.DEFERRED, 421, "4.3.2"),
}


@pytest.mark.parametrize("fault", [each for each in Fault if each is not Fault.NONE], ids=lambda each: each.name)
async def test_each_way_of_breaking_is_told_as_what_it_is_and_the_next_mail_goes(fault: Fault, mail) -> None:
    data = write(mail()).joined()
    stalls = {"timeout_s": 0.2} if fault is Fault.STALL_AFTER_BODY else {}
    async with SmtpSink(lambda number: Fault.NONE if number else fault) as sink, pool_to(sink, **stalls) as pool:
        outcome = await pool.send(ENVELOPE, data, yes)
        taken = sum(sink.taken.ids.values())
        if fault in CERTAIN:
            assert (outcome.handed, outcome.code, outcome.status) == CERTAIN[fault]
            assert taken == 0
        else:
            assert outcome.handed is Handed.UNKNOWN  # whether it was taken or not: nobody can tell
        following = await pool.send(ENVELOPE, data, yes)
        assert (following.handed, following.reference[:4]) == (Handed.SENT, "SINK")
        assert sum(sink.taken.ids.values()) == taken + 1


async def test_a_server_that_is_not_there_takes_nothing() -> None:
    async with SmtpSink() as sink:
        address = sink.address
    pool = SmtpPool(SmtpSettings(*address, tls="never", timeout_s=1.0))
    assert (await pool.send(ENVELOPE, b"a\r\n", yes)).handed is Handed.UNREACHABLE


async def test_many_mails_share_the_connections_and_a_connection_has_an_end(mail) -> None:
    data = write(mail()).joined()
    async with SmtpSink() as sink:
        async with pool_to(sink, connections=3, messages=20) as pool:
            outcomes = await asyncio.gather(*(pool.send(ENVELOPE, data, yes) for _ in range(60)))
        assert {each.handed for each in outcomes} == {Handed.SENT}
        assert 3 <= sink.taken.sessions <= 6


async def test_what_is_forbidden_in_the_last_moment_does_not_go(mail) -> None:
    async with SmtpSink() as sink, pool_to(sink) as pool:
        assert (await pool.send(ENVELOPE, write(mail()).joined(), lambda: False)).handed is Handed.WITHDRAWN
        assert (await pool.send(ENVELOPE, write(mail()).joined(), yes)).handed is Handed.SENT
        assert sum(sink.taken.ids.values()) == 1
        assert sink.taken.sessions == 1


async def test_a_connection_that_the_server_closed_while_idle_is_replaced(mail) -> None:
    data = write(mail()).joined()
    async with SmtpSink() as sink, pool_to(sink) as pool:
        assert (await pool.send(ENVELOPE, data, yes)).handed is Handed.SENT
        sink.close_sessions()
        assert (await pool.send(ENVELOPE, data, yes)).handed is Handed.SENT
        assert sink.taken.sessions == 2


@pytest.mark.parametrize("text", [".", "..\r\n.\r\n. a", "a\r\n.\r\nMAIL FROM:<x@example.org>", "ends\r\n"])
async def test_dots_arrive_as_they_were_and_end_nothing(text: str) -> None:
    data = b"Message-ID: <1@x>\r\n\r\n" + text.encode()
    async with SmtpSink(keep=True) as sink, pool_to(sink) as pool:
        assert (await pool.send(ENVELOPE, data, yes)).handed is Handed.SENT
        assert sink.taken.mails == [data if data.endswith(b"\r\n") else data + b"\r\n"]
        assert sink.taken.tried == 1


async def test_another_server_reads_the_same_bytes(mail) -> None:
    envelopes, ended = [], asyncio.Event()

    class Session(SMTP):
        def connection_lost(self, error: Exception | None) -> None:
            super().connection_lost(error)
            ended.set()

    class Keeper:
        async def handle_DATA(self, server, session, envelope) -> str:
            envelopes.append(envelope)
            return "250 2.0.0 queued as AIO1234"

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Session(Keeper(), loop=loop), "127.0.0.1", 0)
    data = write(mail(text=".\n..dots\nünï\n")).joined()
    pool = SmtpPool(SmtpSettings("127.0.0.1", server.sockets[0].getsockname()[1], tls="never", connections=1))
    outcome = await pool.send(ENVELOPE, data, yes)
    await pool.close()
    await ended.wait()
    server.close()
    await server.wait_closed()
    assert outcome.reference == "AIO1234"
    [envelope] = envelopes
    assert envelope.content == data
    assert (envelope.mail_from, envelope.rcpt_tos) == ("b+1@brand.example", ["a@example.org"])


async def test_the_reference_goes_with_the_envelope_where_the_server_knows_it(mail) -> None:
    lines: list[bytes] = []
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 x\r\n")
        while line := await reader.readline():
            lines.append(line.strip())
            answers = {b"EHLO": b"250-x\r\n250 DSN\r\n", b"DATA": b"354 go\r\n", b"QUIT": b"221 bye\r\n"}
            if line == b".\r\n":
                writer.write(b"250 ok\r\n")
            elif line[:4] in {b"EHLO", b"MAIL", b"RCPT", b"DATA", b"QUIT", b"RSET"}:
                writer.write(answers.get(line[:4], b"250 ok\r\n"))
        writer.close()
        await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    pool = SmtpPool(SmtpSettings(host, port, tls="never", connections=1))
    assert (await pool.send(ENVELOPE, b"Subject: a\r\n\r\n", yes)).handed is Handed.SENT
    await pool.close()
    await ended.wait()
    server.close()
    assert b"MAIL FROM:<b+1@brand.example> RET=HDRS ENVID=ntf_1+2Bx" in lines
    assert b"RCPT TO:<a@example.org> NOTIFY=FAILURE,DELAY" in lines


@pytest.mark.parametrize("tls", ["starttls", "always"])
async def test_a_mail_goes_encrypted_to_the_server_that_was_meant_and_to_no_other(tls: str, contexts, mail) -> None:
    taken, sessions = [], []

    class Keeper:
        async def handle_DATA(self, server, session, envelope) -> str:
            taken.append(session.ssl is not None or tls == "always")
            return "250 ok"

    class Session(SMTP):
        def connection_made(self, transport) -> None:
            super().connection_made(transport)
            self.ended = asyncio.Event()
            sessions.append(self)

        def connection_lost(self, error: Exception | None) -> None:
            super().connection_lost(error)
            self.ended.set()

    loop = asyncio.get_running_loop()
    upgrade = contexts[0] if tls == "starttls" else None
    server = await loop.create_server(
        lambda: Session(Keeper(), loop=loop, tls_context=upgrade, require_starttls=tls == "starttls"),
        "127.0.0.1",
        0,
        ssl=None if upgrade else contexts[0],
    )
    port = server.sockets[0].getsockname()[1]
    data = write(mail()).joined()
    trusting = SmtpPool(SmtpSettings("127.0.0.1", port, tls=tls, connections=1, timeout_s=5.0, context=contexts[1]))
    assert (await trusting.send(ENVELOPE, data, yes)).handed is Handed.SENT
    await trusting.close()
    wary = SmtpPool(SmtpSettings("127.0.0.1", port, tls=tls, connections=1, timeout_s=5.0))
    assert (await wary.send(ENVELOPE, data, yes)).handed is Handed.UNREACHABLE
    for each in sessions:
        await each.ended.wait()
    server.close()
    await server.wait_closed()
    assert taken == [True]
