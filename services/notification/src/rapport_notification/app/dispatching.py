"""Use case: hand messages over, in batches, fairly, and each only if everything still allows it.

A batch goes through: what is known, who may be written to and where, addresses, the texts, a provider; then one
transaction looks again at what is in the database, takes places in caps and writes the intents; then each message is
handed over by itself, the gate and the clock asked once more right before its first byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rapport_chassis.clock import Clock
from rapport_chassis.failpoints import failpoint
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.telemetry.metrics import Counter
from rapport_chassis.telemetry.tracing import Tracer

from rapport_notification.app.carriers import Carrier, Contact, Contacts, ContactsAwayError, Parcel, Texts
from rapport_notification.app.intents import Intents
from rapport_notification.app.judging import Judge
from rapport_notification.app.messages import AttemptRow, Stored
from rapport_notification.app.people import LedgerPeople
from rapport_notification.app.previewing import Job, NotWritten, Writes
from rapport_notification.app.recording import Recorder
from rapport_notification.app.sending import Case, Result, SendStore
from rapport_notification.app.templates import filled
from rapport_notification.app.times import micros_of
from rapport_notification.app.traces import links_to
from rapport_notification.domain.contents import ValuesRefusedError, checked
from rapport_notification.domain.entries import Limits
from rapport_notification.domain.suppression import address_hash
from rapport_notification.domain.vocabulary import SECOND_US, Channel, DropReason, HoldReason
from rapport_notification.sending.outcome import Handed, Outcome
from rapport_notification.sending.sms import segments
from rapport_notification.telemetry import CHANNEL, FIND_ADDRESS, HAND_OVER, OUTCOME

_AWAY_US: Final = 2 * SECOND_US
_LEAST_WAIT_US: Final = 50_000
_CAP_PERIODS: Final = 2
_MOMENT_S: Final = 0.1
_MOMENTS: Final = 5


@dataclass(frozen=True)
class Dispatching:
    """Hands batches of messages over.

    Attributes:
        store: Where messages wait.
        judge: Decides.
        intents: Writes down what is begun, and what is not.
        carriers: What hands messages over, by channel.
        contacts: Who knows addresses, by channel.
        request_contacts: Who knows those of privacy requests.
        writes: Writes messages.
        recorder: Keeps what came of attempts.
        counted: Counts what is not sent now, by channel and outcome.
        tracer: Records for each message what others are asked.
        people: Who is whose.
        values_in: Returns the values in a content.
        unsubscribe_url: Returns where a message is unsubscribed from; empty for nowhere.
        address_key: That addresses are hashed with.
        limits: Times of claims and sends.
        clock: The time.
    """

    store: SendStore
    judge: Judge
    intents: Intents
    carriers: Mapping[Channel, Carrier]
    contacts: Mapping[Channel, Contacts]
    request_contacts: Contacts
    writes: Writes
    recorder: Recorder
    counted: Counter
    tracer: Tracer
    people: LedgerPeople
    values_in: Callable[[bytes], dict[str, object]]
    unsubscribe_url: Callable[[Stored], str]
    address_key: bytes
    limits: Limits
    clock: Clock

    async def send(self, messages: Sequence[Stored]) -> None:
        """Bring claimed messages as far as they get now: handed over, waiting, or dropped.

        Raises:
            RapportError: NOT_READY: the database is away; those that had not begun are claimed again later.
        """
        closures = {each.notification_id: self.people.ids_of(each.ask.recipient_id) for each in messages}
        known = await self.store.known(messages, closures)
        cases = []
        for stored in messages:
            ids = closures[stored.notification_id]
            case = Case(stored, ids, known.persons[ids[0]], known.prepared[stored.notification_id], known.rules)
            case.tried = list(stored.tried)
            if stored.follows in known.noticed:
                case.drop(DropReason.CANCELLED)
                cases.append(case)
                continue
            self.judge.route(case, known.pasts.get(ids[0], {}))
            cases.append(case)
        await asyncio.gather(*(self._reach(case) for case in cases if case.ending is None))
        for case in cases:
            if case.ending is None:
                self.judge.place(case)
        await self._write([case for case in cases if case.ending is None])
        for case in cases:
            if case.ending is None:
                await self._provide(case)
        begun = await self._begin(cases)
        failpoint("notification.intent.written")
        await asyncio.gather(*(self._hand_over(case, stored, attempt) for case, stored, attempt in begun))

    async def _reach(self, case: Case) -> None:
        """Find the first channel on which the recipient has an address."""
        stored = case.stored
        for channel in case.routes:
            asked = self.request_contacts if stored.to_request else self.contacts[channel]
            try:
                with self.tracer.span(FIND_ADDRESS, links=links_to(stored.traceparent)):
                    contact = await asked.find(stored, channel, stored.purpose_of(channel))
            except ContactsAwayError:
                case.hold(HoldReason.PROVIDER, micros_of(self.clock.now()) + _AWAY_US)
                return
            if contact is not None:
                self.judge.choose(case, channel)
                case.contact = contact
                if self.carriers[channel].stands_for_address:
                    case.address_hash = address_hash(self.address_key, channel, contact.address)
                return
            case.tried.append(channel)
        case.drop(DropReason.UNREACHABLE)

    async def _write(self, cases: Sequence[Case]) -> None:
        """Write the texts of messages; what cannot be written is dropped."""
        jobs: list[tuple[Case, Job]] = []
        for case in cases:
            prepared, stored = case.prepared, case.stored
            contact = case.contact
            assert contact is not None
            template = prepared.template
            wanted = stored.ask.locale or contact.locale
            case.locale = template.locale_for(wanted) if wanted else template.locale
            named = case.channel is not Channel.IN_APP  # what is put into an inbox is kept, and names nobody
            try:
                values = filled(
                    checked(prepared.declared, self.values_in(stored.ask.content)),
                    given=contact.given_name if named else "",
                    family=contact.family_name if named else "",
                    unsubscribe_url=self.unsubscribe_url(stored),
                )
            except ValuesRefusedError:
                case.drop(DropReason.TEMPLATE)
                continue
            jobs.append((case, Job(template, prepared.html, case.locale, values)))
        if not jobs:
            return
        texts = await self.writes.write([job for _, job in jobs])
        for (case, _), each in zip(jobs, texts, strict=True):
            if isinstance(each, NotWritten) or not _fits(case, each):
                case.drop(DropReason.TEMPLATE)
            else:
                case.texts = each

    async def _provide(self, case: Case) -> None:
        """Choose a provider, or let the message wait for one: here for a moment, longer in the ledger."""
        assert case.channel is not None
        pool, entry = self.carriers[case.channel].pool, case.stored.entry
        only = entry.provider if entry.repeating else ""
        for _ in range(_MOMENTS):
            now = self.clock.boottime()
            case.provider = pool.begin(now, only=only)
            case.health = pool.health(now)
            if case.provider is not None or pool.wait_s(now) > _MOMENT_S:
                break
            await asyncio.sleep(max(pool.wait_s(now), _MOMENT_S / 10))  # of the machine: a bucket fills
        if case.provider is None:
            wait_us = max(_LEAST_WAIT_US, round(pool.wait_s(self.clock.boottime()) * SECOND_US))
            case.hold(HoldReason.PROVIDER, micros_of(self.clock.now()) + wait_us)

    async def _begin(self, cases: Sequence[Case]) -> list[tuple[Case, Stored, AttemptRow]]:
        """Write intents, and why the others are not sent now; return those that were begun."""
        try:
            begun = await self.intents.write(cases)
        except BaseException:
            for case in cases:
                self._release(case)
            raise
        going = {id(case) for case, _, _ in begun}
        for case in cases:
            if id(case) not in going:
                self._release(case)
            if case.ending is not None:
                outcome = "held" if case.ending.hold is not None else "dropped"
                self.counted.of(case.channel.name if case.channel is not None else "NONE", outcome).add()
        return begun

    async def _hand_over(self, case: Case, begun: Stored, attempt: AttemptRow) -> None:
        """Hand one message over and keep what came of it."""
        assert case.channel is not None
        with self.tracer.span(HAND_OVER, links=links_to(begun.traceparent)) as span:
            outcome = await self._handed_over(case, begun)
            span.set(CHANNEL, case.channel.name)
            span.set(OUTCOME, outcome.handed.value)
        failpoint("notification.handed.over")
        pool = self.carriers[case.channel].pool
        others = any(each not in case.tried and each is not case.channel for each in case.routes)
        another = pool.wait_s(self.clock.boottime()) <= 0 and len(pool.health(0.0)) > 1
        await self.recorder.keep(Result(begun, attempt, outcome, others, another))

    async def _handed_over(self, case: Case, begun: Stored) -> Outcome:
        assert case.channel is not None
        assert case.provider is not None
        assert case.texts is not None
        assert case.contact is not None
        carrier = self.carriers[case.channel]
        outcome = Outcome(Handed.UNKNOWN)
        try:
            async with asyncio.timeout(self.limits.transfer_us / SECOND_US):
                outcome = await carrier.hand_over(
                    case.provider.provider,
                    self._parcel(case, begun, case.contact, case.texts),
                    lambda: self.judge.may_send(case, begun),
                )
        except TimeoutError:
            pass
        except Exception as fault:
            # An adapter that breaks says nothing of what left: the message is in doubt, and named as such.
            get_logger().error("hand_over_failed", component=case.provider.provider, exc_info=fault)
        finally:
            carrier.pool.ended(case.provider, outcome, self.clock.boottime())
            case.provider = None
        return outcome

    def _parcel(self, case: Case, begun: Stored, contact: Contact, texts: Texts) -> Parcel:
        return Parcel(
            begun.notification_id,
            begun.entry.attempt,
            begun.entry.series,
            begun.ask.recipient_id,
            contact,
            texts,
            case.locale,
            begun.ask.brand_id,
            begun.ask.category,
            begun.ask.message_class,
            self.clock.now(),
        )

    def _release(self, case: Case) -> None:
        """Tell the provider's pool that a message chosen for it is not handed over."""
        if case.provider is not None and case.channel is not None:
            outcome = Outcome(Handed.WITHDRAWN)
            self.carriers[case.channel].pool.ended(case.provider, outcome, self.clock.boottime())
            case.provider = None


def _fits(case: Case, texts: Texts) -> bool:
    return case.channel is not Channel.SMS or segments(texts.text).count <= case.prepared.sms_segments
