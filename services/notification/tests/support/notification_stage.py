"""A worker of the service by the test's clock, taken step by step, on a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from rapport.consent.v1 import ledger_pb2, purpose_pb2
from rapport.notification.v1 import content_pb2, events_pb2, template_pb2
from rapport_chassis.authored import AuthoredStore
from rapport_chassis.database.engine import Database
from rapport_chassis.ids import new_id
from rapport_chassis.telemetry.metrics import Meter
from rapport_chassis.telemetry.setup import Telemetry
from rapport_chassis.telemetry.tracing import Tracer
from rapport_notification import telemetry
from rapport_notification.adapters.dispatch import SendingStore
from rapport_notification.adapters.email import EmailCarrier, Letterhead
from rapport_notification.adapters.feedback import FeedbackStore
from rapport_notification.adapters.messages import MessageBook
from rapport_notification.adapters.rules import Rules
from rapport_notification.adapters.sms import SmsCarrier
from rapport_notification.adapters.templates import TemplateShelf
from rapport_notification.adapters.writing import Writing
from rapport_notification.app.accepting import Accepting
from rapport_notification.app.carriers import Carrier, Contact, ContactsAwayError
from rapport_notification.app.dispatching import Dispatching
from rapport_notification.app.intents import Intents
from rapport_notification.app.judging import Judge
from rapport_notification.app.messages import Ask, Stored
from rapport_notification.app.people import LedgerPeople
from rapport_notification.app.reconciling import Reconciling
from rapport_notification.app.recording import Recorder
from rapport_notification.app.times import micros_of
from rapport_notification.app.waking import Wake
from rapport_notification.app.working import Worker
from rapport_notification.domain.engagement import By, Engagement, Seen
from rapport_notification.domain.entries import FINAL, Limits, State
from rapport_notification.domain.resolution import BLIND
from rapport_notification.domain.scheduling import FairQueue, Priority
from rapport_notification.domain.vocabulary import (
    MINUTE_US,
    Channel,
    MessageClass,
)
from rapport_notification.numbers import evidence_of
from rapport_notification.reference import load_quiet_hours
from rapport_notification.sending.fields import Address, Text
from rapport_notification.sending.providers import Provider, ProviderPool
from rapport_notification.sending.return_path import ReturnPaths
from rapport_notification.sending.sms_http import SmsHttpProvider
from rapport_notification.sending.smtp import SmtpPool, SmtpSettings
from rapport_notification.templates.worker import RenderWorker
from rapport_notification.translate.contents import content_of, values_in
from rapport_testing.clock import TestClock
from rapport_testing.ledger_gate import LedgerGate
from rapport_testing.ledger_model import LedgerModel

MONDAY_NIGHT = datetime(2026, 11, 23, 22, 30, tzinfo=UTC)
OFFERS = "direct_marketing.email"
LIMITS = Limits()
SPREAD_US = 15 * MINUTE_US
_HOLD_COPIES = b"""
INSERT INTO notifications SELECT copy.* FROM notifications AS one, generate_series(1, %(number)s) AS number,
LATERAL jsonb_populate_record(one, jsonb_build_object(
    'notification_id', 'ntf_copy' || number, 'state', 2, 'hold', 1, 'due_us', %(first)s + number * %(every)s::bigint
)) AS copy WHERE one.notification_id = %(id)s
"""


class Addresses:
    """Gives everybody an address.

    Attributes:
        away: Of whom nothing can be asked now.
    """

    def __init__(self) -> None:
        self.away: set[str] = set()

    async def find(self, message: Stored, channel: Channel, purpose_id: str) -> Contact:
        """Return it."""
        if message.ask.recipient_id in self.away:
            raise ContactsAwayError
        if channel is Channel.SMS:
            return Contact("+4915112345678", given_name="Zoë")
        return Contact(f"{message.ask.recipient_id[4:].lower()}@customers.example", given_name="Zoë")


class Stage:
    """A worker of the service, taken step by step."""

    def __init__(
        self,
        database: Database,
        pools: dict[str, SmtpPool],
        worker: RenderWorker,
        sms: SmsHttpProvider | None,
        tracer: Tracer,
    ) -> None:
        self.clock, self.ledger = TestClock(MONDAY_NIGHT), LedgerModel()
        self.ledger.define(OFFERS, purpose_pb2.LEGAL_BASIS_CONSENT, active_from=datetime(2020, 1, 1, tzinfo=UTC))
        known = LedgerGate(self.ledger, self.clock, bound_s=1e6)
        self.follow = known.follow
        self.follow()
        gate, replica, people = known.gate, known.replica, LedgerPeople(known.replica)
        head = Letterhead(
            Address("shop@mail.brand.example"), Text(""), None, ReturnPaths([b"k" * 32], "b.example"), None, None
        )
        pool = ProviderPool([Provider(name, BLIND) for name in pools], self.clock.boottime())
        carriers: dict[Channel, Carrier] = {Channel.EMAIL: EmailCarrier(head, pools, {}, pool, self.clock)}
        if sms is not None:
            sms_pool = ProviderPool([Provider("texts", sms.capability)], self.clock.boottime())
            carriers[Channel.SMS] = SmsCarrier(sms, "Brand", sms_pool)
        hours, meter = load_quiet_hours(), Meter()
        self.pool, self._database, self._shelf = pool, database, TemplateShelf(worker, self.clock)
        self._accepting = Accepting(gate, people, lambda: replica.contents.purposes, values_in, self.clock)
        self.store = SendingStore(database, self._shelf, Rules(self.clock), spread_us=SPREAD_US)
        judge = Judge(
            permits=gate,
            carriers=carriers,
            hours=hours,
            numbers=lambda number: evidence_of(number, hours.zones),
            home="Etc/UTC",
            spread_us=SPREAD_US,
            limits=LIMITS,
            advertises=True,
            clock=self.clock,
        )
        self.addresses = Addresses()
        counted = meter.counter(telemetry.OUTCOMES)
        self.recorder = Recorder(self.store, counted, self.clock)
        self._dispatching = Dispatching(
            store=self.store,
            judge=judge,
            intents=Intents(self.store, judge, lambda _: b"", LIMITS, self.clock),
            carriers=carriers,
            contacts=dict.fromkeys(carriers, self.addresses),
            request_contacts=self.addresses,
            writes=Writing(worker),
            recorder=self.recorder,
            counted=counted,
            tracer=tracer,
            people=people,
            values_in=values_in,
            unsubscribe_url=lambda _: "",
            address_key=b"a" * 32,
            limits=LIMITS,
            clock=self.clock,
        )
        in_doubt = meter.gauge(telemetry.IN_DOUBT).of()
        self._reconciling = Reconciling(self.store, carriers, LIMITS, in_doubt, self.clock)

    def person(self) -> str:
        """Somebody who wants offers."""
        person = new_id("profile")
        self.ledger.grant(person, OFFERS)
        self.follow()
        return person

    def withdraw(self, person: str) -> None:
        """Have somebody take it back."""
        self.ledger.deny(person, OFFERS, ledger_pb2.CONSENT_STATUS_WITHDRAWN)
        self.follow()

    async def template(self) -> None:
        """Put a template in force."""
        channels = [events_pb2.CHANNEL_EMAIL, events_pb2.CHANNEL_SMS]
        terms = template_pb2.TemplateTerms(locale="en", channels=channels)
        terms.variables["title"].kind = template_pb2.VARIABLE_KIND_TEXT
        terms.texts["en"].subject, terms.texts["en"].text = "{{ title }}", "Hello {{ recipient_given_name }}"
        store, now = AuthoredStore("template"), self.clock.now()
        async with self._database.transaction() as connection:
            drafted = await store.draft(connection, "news/", terms.SerializeToString(), actor="me", now=now)
            await store.activate(connection, "news/", drafted.version, actor="me", reason="opened", now=now)

    async def accept(self, recipient: str, **fields: Any) -> str:
        """Take a message on: an offer unless more is said."""
        async with self._database.transaction() as connection:
            book = MessageBook(connection, self._shelf)
            return (await self._accepting.accept(book, _ask(recipient, fields))).notification_id

    async def accept_together(self, *asked: tuple[str, dict[str, Any]]) -> None:
        """Take messages on as those of several events are: each to somebody, and an offer unless more is said."""
        async with self._database.transaction() as connection:
            book = MessageBook(connection, self._shelf)
            async with book.together({recipient for recipient, _ in asked}):
                for each in asked:
                    await self._accepting.accept(book, _ask(*each))

    async def hold_copies(self, notification_id: str, first_us: int, number: int, every_us: int) -> None:
        """Have copies of a message wait for the morning, one let go after the other; the message itself goes."""
        async with self._database.transaction() as connection:
            values = {"id": notification_id, "first": first_us, "number": number, "every": every_us}
            await connection.execute(_HOLD_COPIES, values)
            await connection.execute(b"DELETE FROM notifications WHERE notification_id = %(id)s", values)

    def worker(self) -> Worker:
        """A worker that takes turns by itself."""
        queue = FairQueue(places=20, urgent_places=2, per_destination=10)
        queued = Meter().gauge(telemetry.QUEUED).of()
        return Worker(self.store, self._dispatching, queue, Wake(), queued, LIMITS, self._database.commits, self.clock)

    async def work(self) -> int:
        """Claim and send what is due, and settle what can be; return how many were claimed."""
        claimed = [
            each
            for priority in Priority
            for each in await self.store.claim(priority, 100, micros_of(self.clock.now()), LIMITS)
        ]
        if claimed:
            await self._dispatching.send(claimed)
        await self._reconciling.step()
        return len(claimed)

    async def work_until(self, notification_id: str, *states: State, step_s: float = 30.0) -> Stored:
        """Work and let time pass until a message is in a state, or at an end."""
        found = await self.get(notification_id)
        for _ in range(200):
            await self.work()
            found = await self.get(notification_id)
            if found.entry.state in states or (not states and found.entry.state in FINAL):
                return found
            self.clock.advance(step_s)
            self.follow()
        raise AssertionError(found)

    async def of(self, person: str) -> list[Stored]:
        """Return somebody's messages."""
        async with self._database.transaction() as connection:
            return await MessageBook(connection, self._shelf).page([person], 0, 0, (2**62, ""), 10)

    async def notice(self, notification_id: str) -> None:
        """Have a person open a mail."""
        async with self._database.transaction() as connection:
            book = FeedbackStore(connection)
            await book.see(notification_id, Seen(Engagement.OPENED, "", 1, By.PERSON), 2)

    async def get(self, notification_id: str) -> Stored:
        """Return a message."""
        async with self._database.transaction() as connection:
            found = await MessageBook(connection, self._shelf).find(notification_id)
        assert found is not None
        return found


def _ask(recipient: str, fields: dict[str, Any]) -> Ask:
    content = content_of({"title": content_pb2.ContentValue(text="Lamp")})
    return replace(Ask(recipient, "news", MessageClass.MARKETING, "offers", OFFERS, content), **fields)


@asynccontextmanager
async def staged(
    opened: Database,
    *,
    sms: SmsHttpProvider | None = None,
    telemetry: Telemetry | None = None,
    **servers: tuple[str, int],
) -> AsyncIterator[Stage]:
    """A worker that hands mails to these servers, and texts to a provider."""
    worker = RenderWorker()
    pools = {name: SmtpPool(SmtpSettings(*each, tls="never", timeout_s=1.0)) for name, each in servers.items()}
    stage = Stage(opened, pools, worker, sms, (telemetry or Telemetry.off()).tracer)
    await stage.recorder.start()
    try:
        await stage.template()
        yield stage
    finally:
        await stage.recorder.stop()
        await worker.close()
        for pool in pools.values():
            await pool.close()
