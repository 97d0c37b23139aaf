"""Mails a second over the whole way: claimed, judged, rendered in two parts, written down, signed, sent, recorded.

One worker on a PostgreSQL that syncs its commits, against the same bytes handed over raw in the same run: to a sink,
and where there is one to a Postfix that hands them on. Counted in the ledger, which says SENT only after the peer has
answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import mail as mails
import rapport_notification
import uvloop
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from rapport.consent.v1 import purpose_pb2
from rapport.notification.v1 import content_pb2, events_pb2, template_pb2
from rapport_chassis.authored import AuthoredStore
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.migrate import upgrade
from rapport_chassis.database.roles import RolePasswords, ServiceDatabase, create_service_database
from rapport_chassis.ids import new_id
from rapport_chassis.settings import DatabaseSettings
from rapport_chassis.telemetry.setup import Telemetry
from rapport_notification.adapters.email import EmailCarrier, Letterhead
from rapport_notification.adapters.messages import MessageBook
from rapport_notification.adapters.sealing import Sealer
from rapport_notification.adapters.templates import TemplateShelf
from rapport_notification.adapters.writing import Writing
from rapport_notification.app.accepting import Accepting
from rapport_notification.app.carriers import Contact
from rapport_notification.app.messages import Ask, Stored
from rapport_notification.app.people import LedgerPeople
from rapport_notification.app.waking import Wake
from rapport_notification.assembly import Parts
from rapport_notification.delivery import furnish_dispatch
from rapport_notification.domain.resolution import BLIND
from rapport_notification.domain.vocabulary import Channel, MessageClass
from rapport_notification.reference import load_quiet_hours
from rapport_notification.sending.dkim import DkimKey, DkimSigner
from rapport_notification.sending.fields import Address, Text
from rapport_notification.sending.http import Poster
from rapport_notification.sending.providers import Provider, ProviderPool
from rapport_notification.sending.return_path import ReturnPaths
from rapport_notification.sending.smtp import SmtpPool, SmtpSettings
from rapport_notification.settings import DispatchSettings, NotificationSettings
from rapport_notification.templates.preparing import prepare
from rapport_notification.templates.worker import RenderWorker
from rapport_notification.translate.contents import content_of, values_in
from rapport_testing.bench import Figure, Report
from rapport_testing.ledger_gate import LedgerGate
from rapport_testing.ledger_model import LedgerModel
from rapport_testing.postgres import PostgresServer
from rapport_testing.waiting import eventually

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests/support"))
from notification_peers import postfix, postfix_root

ROUNDS, MAILS = 5, 1000
PURPOSE = "contract.service"
MIGRATIONS = Path(rapport_notification.__file__).parent / "migrations"


class Addresses:
    """Gives everybody the same address."""

    async def find(self, message: Stored, channel: Channel, purpose_id: str) -> Contact:
        """Return it."""
        return Contact("a@example.org", given_name="customer")


class Way:
    """A worker of the service with all its rules."""

    def __init__(self, database: Database, pool: SmtpPool, signer: DkimSigner, worker: RenderWorker) -> None:
        clock, ledger = SystemClock(), LedgerModel()
        ledger.define(PURPOSE, purpose_pb2.LEGAL_BASIS_CONTRACT, active_from=datetime(2020, 1, 1, tzinfo=UTC))
        known = LedgerGate(ledger, clock, bound_s=1e6)
        known.follow()
        self.database, self.shelf = database, TemplateShelf(worker, clock)
        gate, replica, people = known.gate, known.replica, LedgerPeople(known.replica)
        paths = ReturnPaths([b"k" * 32], "bounces.brand.example")
        head = Letterhead(Address("shop@mail.brand.example"), Text("Brand"), None, paths, None, signer)
        providers = ProviderPool([Provider("sink", BLIND, rate_per_s=1e6, burst=1e6)], clock.boottime())
        self.parts = Parts(
            settings=NotificationSettings.model_construct(dispatch=DispatchSettings(), consent=None),
            roles=("events",),
            release="0",
            clock=clock,
            telemetry=Telemetry.off(),
            database=database,
            nats=cast(Any, None),
            server=cast(Any, None),
            replica=replica,
            permits=gate,
            people=people,
            shelf=self.shelf,
            store=cast(Any, None),
            once=cast(Any, None),
            accepting=Accepting(gate, people, lambda: (PURPOSE,), values_in, clock),
            hours=load_quiet_hours(),
            address_key=b"a" * 32,
            text_sealer=Sealer([b"t" * 32]),
            poster=Poster(),
            return_paths=paths,
            links=None,
            wake=Wake(),
        )
        self.parts.carriers[Channel.EMAIL] = EmailCarrier(head, {"sink": pool}, {}, providers, clock)
        self.parts.contacts[Channel.EMAIL] = Addresses()
        furnish_dispatch(self.parts, self.shelf, Writing(worker))

    async def template(self) -> None:
        """Put a template in two parts in force."""
        terms = template_pb2.TemplateTerms(locale="en", channels=[events_pb2.CHANNEL_EMAIL])
        terms.variables["name"].kind = template_pb2.VARIABLE_KIND_TEXT
        rows = terms.variables["products"]
        rows.kind = template_pb2.VARIABLE_KIND_ROWS
        rows.columns["title"] = template_pb2.VARIABLE_KIND_TEXT
        rows.columns["price"] = template_pb2.VARIABLE_KIND_MONEY
        rows.columns["link"] = template_pb2.VARIABLE_KIND_URL
        terms.texts["en"].CopyFrom(
            template_pb2.TemplateTexts(subject="Three prices for {{ name }}", text=mails.PLAIN, mjml=mails.MJML)
        )
        store, now = AuthoredStore("template"), datetime.now(UTC)
        async with self.database.transaction() as connection:
            drafted = await store.draft(connection, "price_drop/", terms.SerializeToString(), actor="me", now=now)
            await store.activate(connection, "price_drop/", drafted.version, actor="me", reason="bench", now=now)

    async def accept(self, count: int) -> float:
        """Take messages on, before anything is measured; return how many a second."""
        began = time.perf_counter()
        for number in range(count):
            content = content_of(values(number))
            ask = Ask(new_id("profile"), "price_drop", MessageClass.SERVICE, "orders", PURPOSE, content)
            async with self.database.transaction() as connection:
                await self.parts.accepting.accept(MessageBook(connection, self.shelf), ask)
        return count / (time.perf_counter() - began)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Have the worker work."""
        for each in self.parts.components:
            await each.start()
        try:
            yield
        finally:
            for each in reversed(self.parts.components):
                await each.stop()

    async def is_done(self) -> bool:
        """Say whether all are sent."""
        async with self.database.transaction() as connection:
            row = await (await connection.execute("SELECT count(*) FROM notifications WHERE state <> 4")).fetchone()
        return row == (0,)


def values(number: int) -> dict[str, content_pb2.ContentValue]:
    """Values of one mail."""
    made = {"name": content_pb2.ContentValue(text=f"customer {number}"), "products": content_pb2.ContentValue()}
    for n in range(3):
        row = made["products"].rows.rows.add()
        row.values["title"].text = f"Lamp {n}"
        row.values["price"].money.currency_code, row.values["price"].money.units = "EUR", int(Decimal(f"{n}9"))
        row.values["link"].url = f"https://brand.example/{number}/{n}"
    return made


async def measure(server: PostgresServer) -> None:
    """Take turns, print and write the figures."""
    key = generate_private_key(65537, 2048)
    worker = RenderWorker(("en",))
    names = ServiceDatabase.of("notification")
    settings = DatabaseSettings.model_validate(
        {"dsn": server.dsn(names.name, names.runtime_role), "owner_dsn": server.dsn(names.name, names.owner_role)}
    )
    await asyncio.to_thread(create_service_database, server.dsn("postgres"), "notification", RolePasswords())
    await asyncio.to_thread(upgrade, settings, MIGRATIONS)
    database = Database(settings, service="notification")
    await database.open()
    signer = DkimSigner("brand.example", [DkimKey("r1", key)])
    report = Report("notification-path", mails.FOLDER)
    async with mails.sink() as (name, port):
        await compare(report, name, port, database, signer, worker, ">= 0.15")
        if postfix_root() is not None:
            async with postfix(port) as (relay, _):
                await compare(report, "Postfix", relay, database, signer, worker, ">= 0.6")
    await worker.close()
    await database.close()
    report.write()


async def compare(
    report: Report, name: str, port: int, database: Database, signer: DkimSigner, worker: RenderWorker, budget: str
) -> None:
    """Send to a peer on this machine by the whole way and raw, in turns, and report how they compare."""
    pool = SmtpPool(SmtpSettings(mails.HOST, port, tls="never", connections=mails.CONNECTIONS))
    way = Way(database, pool, signer, worker)
    await way.template()
    plain = mails.Way(port, signer, worker, await prepare(mails.TEMPLATE, worker))
    [texts] = await plain.render(range(1))
    mail = plain.sign(0, texts)
    raw, path, taken_on = [], [], []
    for turn in range(ROUNDS + 1):
        accepted = await way.accept(MAILS)
        began = time.perf_counter()
        async with way.working():
            await eventually(way.is_done, timeout_s=300)
            took = time.perf_counter() - began
        began = time.perf_counter()
        await mails.raw(port, mail, MAILS)
        if turn:
            raw.append(MAILS / (time.perf_counter() - began))
            path.append(MAILS / took)
            taken_on.append(accepted)
    await pool.close()
    floor = statistics.median(raw)
    ratio = statistics.median(p / r for p, r in zip(path, raw, strict=True))
    what = f"full path, one worker ({name}, {len(mail)} bytes)"
    report.add(Figure(what, ratio * floor, "mails/s", floor, budget))
    report.add(Figure("taken on, one by one", statistics.median(taken_on), "messages/s"))


def main() -> None:
    """Start a database, measure, stop it."""
    with tempfile.TemporaryDirectory() as folder:
        server = PostgresServer(Path(folder) / "postgres", durable=True)
        server.start()
        try:
            uvloop.run(measure(server))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
