"""Mails a second: rendered in two parts, written, signed and handed over, against the same bytes handed over raw.

Counted at a sink in a process of its own: smtp-sink, written in C, where the machine has it; else our own, which is
faster than a mail server in Python and so makes the floor higher. The state of the ledger is not in here: this is what
the sending itself costs.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiosmtplib
import dkim
import uvloop
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rapport_notification.conformance.smtp_sink import SmtpSink
from rapport_notification.domain.contents import Kind, Template, Texts, Variable, checked
from rapport_notification.sending.dkim import DkimKey, DkimSigner
from rapport_notification.sending.fields import Address, Text, Token, Url
from rapport_notification.sending.mime import Mail, write
from rapport_notification.sending.outcome import Handed
from rapport_notification.sending.smtp import Envelope, SmtpPool, SmtpSettings
from rapport_notification.templates.preparing import prepare
from rapport_notification.templates.worker import Job, Rendered, RenderWorker
from rapport_testing.bench import Figure, Report
from rapport_testing.free_ports import free_port

ROUNDS, MAILS, CONNECTIONS, BATCH = 7, 400, 8, 25
HOST = "127.0.0.1"
FOLDER = Path(__file__).resolve().parents[3] / "build" / "bench"

MJML = """<mjml><mj-body><mj-section><mj-column><mj-text>Good morning {{ name }}</mj-text>
<mj-raw>{% for each in products %}</mj-raw><mj-text>{{ each.title }}: {{ each.price }}</mj-text>
<mj-button href="{{ each.link }}">Show it</mj-button><mj-raw>{% endfor %}</mj-raw>
</mj-column></mj-section></mj-body></mjml>"""
PLAIN = """Good morning {{ name }}
{% for each in products %}{{ each.title }}: {{ each.price }} {{ each.link }}
{% endfor %}"""
VARIABLES = {
    "name": Variable(Kind.TEXT),
    "products": Variable(
        Kind.ROWS, {"title": Variable(Kind.TEXT), "price": Variable(Kind.MONEY), "link": Variable(Kind.URL)}
    ),
}
TEMPLATE = Template("price_drop", 1, "", "en", VARIABLES, {"en": Texts("Three prices for {{ name }}", PLAIN, MJML)})
ENVELOPE = Envelope(Address("b+1@mail.brand.example"), Address("a@example.org"))


class Way:
    """The whole way of a mail."""

    def __init__(self, port: int, signer: DkimSigner, worker: RenderWorker, html: dict[str, str]) -> None:
        self.pool = SmtpPool(SmtpSettings(HOST, port, tls="never", connections=CONNECTIONS))
        self.signer, self.worker, self.html = signer, worker, html

    async def send(self, count: int) -> None:
        """Send mails, rendering the next batch while one is being sent."""
        batches = [range(at, min(at + BATCH, count)) for at in range(0, count, BATCH)]
        rendering = asyncio.create_task(self.render(batches[0]))
        for number, batch in enumerate(batches):
            texts = await rendering
            if number + 1 < len(batches):
                rendering = asyncio.create_task(self.render(batches[number + 1]))
            outcomes = await asyncio.gather(*(self.one(n, each) for n, each in zip(batch, texts, strict=True)))
            assert all(each is Handed.SENT for each in outcomes)

    async def render(self, numbers: range) -> list[Rendered]:
        """Render a batch."""
        jobs = [Job(TEMPLATE, self.html, "en", checked(VARIABLES, values(number))) for number in numbers]
        found = await self.worker.render(jobs)
        return [each for each in found if isinstance(each, Rendered)]

    def sign(self, number: int, texts: Rendered) -> bytes:
        """Write and sign a mail."""
        written = write(
            Mail(
                sender=Address("shop@mail.brand.example"),
                sender_name=Text("Brand"),
                recipient=Address("a@example.org"),
                recipient_name=Text(""),
                subject=Text(texts.subject),
                message_id=Token(f"ntf_{number}.1"),
                date=datetime.now(UTC),
                text=texts.text,
                html=texts.html,
                unsubscribe=Url(f"https://mail.brand.example/u/{'t' * 100}{number}"),
                list_id=Token("offers"),
            )
        )
        return written.joined(*self.signer.sign(written, int(time.time())))

    async def one(self, number: int, texts: Rendered) -> Handed:
        """Send one."""
        return (await self.pool.send(ENVELOPE, self.sign(number, texts), lambda: True)).handed


def values(number: int) -> dict[str, Any]:
    """Values of one mail."""
    rows = [
        {"title": f"Lamp {n}", "price": (Decimal(f"{n}9.90"), "EUR"), "link": f"https://brand.example/{number}/{n}"}
        for n in range(3)
    ]
    return {"name": f"customer {number}", "products": rows}


async def raw(port: int, mail: bytes, count: int) -> None:
    """Send the same bytes again and again by the library alone, over as many kept connections."""

    async def one(share: int) -> None:
        async with aiosmtplib.SMTP(hostname=HOST, port=port, start_tls=False, timeout=30) as client:
            for _ in range(share):
                await client.sendmail("b+1@mail.brand.example", ["a@example.org"], mail)

    await asyncio.gather(*(one(count // CONNECTIONS) for _ in range(CONNECTIONS)))


@contextlib.asynccontextmanager
async def sink() -> AsyncIterator[tuple[str, int]]:
    """Run a sink in a process of its own; its name and port."""
    port = free_port()
    binary = shutil.which("smtp-sink") or shutil.which("smtp-sink", path="/usr/sbin:/usr/local/sbin")
    command = [binary, "-u", "root", f"{HOST}:{port}", "1024"] if binary else [sys.executable, __file__, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603, ASYNC220 - before anything is measured
    try:
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, port)
                writer.close()
                break
            await asyncio.sleep(0.05)
        yield ("smtp-sink" if binary else "own sink"), port
    finally:
        process.kill()
        process.wait()


async def serve(port: int) -> None:
    """Be the sink."""
    listening = SmtpSink()
    listening.address = (HOST, port)
    async with listening:
        await asyncio.Event().wait()


async def measure() -> None:
    """Take turns, print and write the figures."""
    key = generate_private_key(65537, 2048)
    worker = RenderWorker(("en",))
    html = await prepare(TEMPLATE, worker)
    async with sink() as (name, port):
        path = Way(port, DkimSigner("brand.example", [DkimKey("r1", key)]), worker, html)
        [texts] = await path.render(range(1))
        mail = path.sign(0, texts)
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
        assert dkim.verify(mail, dnsfunc=lambda *_, **__: record)
        rates: dict[str, list[float]] = {"raw": [], "path": [], "pool": []}
        for turn in range(ROUNDS + 1):
            for what in rates:
                began = time.perf_counter()
                if what == "raw":
                    await raw(port, mail, MAILS)
                elif what == "path":
                    await path.send(MAILS)
                else:
                    await asyncio.gather(*(path.pool.send(ENVELOPE, mail, lambda: True) for _ in range(MAILS)))
                if turn:
                    rates[what].append(MAILS / (time.perf_counter() - began))
        await path.pool.close()
        await worker.close()
    report = Report("notification-mail", FOLDER)
    floor = statistics.median(rates["raw"])
    ratio = statistics.median(p / r for p, r in zip(rates["path"], rates["raw"], strict=True))
    report.add(
        Figure(f"render, write, sign, send ({name}, {len(mail)} bytes)", ratio * floor, "mails/s", floor, ">= 0.15")
    )
    pooled = statistics.median(p / r for p, r in zip(rates["pool"], rates["raw"], strict=True))
    report.add(Figure("our pool, the same bytes", pooled * floor, "mails/s", floor, ">= 0.9"))
    report.write()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(int(sys.argv[1])) if sys.argv[1:] else measure())
