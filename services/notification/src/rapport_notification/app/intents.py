"""Use case: write down what is about to be sent, before a byte of it leaves.

One transaction looks again at everything in the database that may forbid a message, takes places in caps, and writes
the intents; what is not begun is written with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from rapport_chassis.clock import Clock
from rapport_privacy.decision import Decision

from rapport_notification.app.judging import Judge
from rapport_notification.app.ledger import Step, sealed
from rapport_notification.app.messages import AttemptRow, Stored
from rapport_notification.app.sending import Case, SendBook, SendStore
from rapport_notification.app.times import micros_of
from rapport_notification.domain import ledger
from rapport_notification.domain.entries import Entry, Limits, StepRefusedError
from rapport_notification.domain.preferences import Person, decide
from rapport_notification.domain.suppression import Suppression
from rapport_notification.domain.vocabulary import DropReason

_CAP_PERIODS: Final = 2


@dataclass(frozen=True)
class Intents:
    """Writes intents.

    Attributes:
        store: Where messages wait.
        judge: Decides.
        permission_of: Returns the gate's answer as a message.
        limits: Times of claims and sends.
        clock: The time.
    """

    store: SendStore
    judge: Judge
    permission_of: Callable[[Decision], bytes]
    limits: Limits
    clock: Clock

    async def write(self, cases: Sequence[Case]) -> list[tuple[Case, Stored, AttemptRow]]:
        """Look again, then write which messages begin and why the others do not; return those that were begun.

        Raises:
            RapportError: NOT_READY: nothing was written.
        """
        async with self.store.book() as book:
            await self._look_again(book, [case for case in cases if case.ending is None])
            steps = [(case, step) for case in cases if (step := self._step(case)) is not None]
            taken = await book.take([step for _, step in steps])
            begun = [
                (case, step.after, step.begun)
                for (case, step), moved in zip(steps, taken, strict=True)
                if moved and step.begun is not None
            ]
            await book.reserve([(case.ids[0], cap, day) for case, _, _ in begun for cap, day in case.taking])
        return begun

    async def _look_again(self, book: SendBook, cases: Sequence[Case]) -> None:
        """Look at everything in the database that may forbid a message, with the recipient's caps held."""
        people = sorted({case.ids[0] for case in cases if not case.stored.to_request})
        if people:
            await book.lock(*(f"caps:{each}" for each in people))
        persons = await book.persons([case.ids for case in cases])
        unsubscribed = await book.unsubscribed(cases)
        given_up = await book.suppressions({case.address_hash for case in cases if case.address_hash})
        now_us = micros_of(self.clock.now())
        days = max((cap.days for case in cases for cap in case.rules.caps), default=0)
        since = (self.clock.now() - timedelta(days=_CAP_PERIODS * days + 1)).date()
        counts = await book.counts({each for case in cases for each in case.ids}, since) if days else {}
        for case in cases:
            self._look_at(case, persons, unsubscribed, given_up, now_us)
            if case.ending is not None:
                continue
            own: dict[tuple[str, date], int] = {}
            for each in case.ids:
                for place, number in counts.get(each, {}).items():
                    own[place] = own.get(place, 0) + number
            self.judge.count(case, own)
            if case.ending is None:
                mine = counts.setdefault(case.ids[0], {})
                for cap, day in case.taking:
                    place = (cap, date.fromisoformat(day))
                    mine[place] = mine.get(place, 0) + 1

    def _look_at(
        self,
        case: Case,
        persons: Mapping[str, Person],
        unsubscribed: Collection[str],
        given_up: Mapping[tuple[bytes, int], Suppression],
        now_us: int,
    ) -> None:
        stored, channel = case.stored, case.channel
        assert channel is not None
        found = given_up.get((case.address_hash, int(channel)))
        if found is not None and found.forbids(stored.ask.message_class, now_us):
            case.suppressed = found.reason.value
            case.drop(DropReason.SUPPRESSED)
            return
        if stored.to_request:
            return
        if stored.notification_id in unsubscribed:
            case.drop(DropReason.NOT_PERMITTED)
            return
        case.person = persons[case.ids[0]]
        wanted, case.wish = decide(case.rules.category(stored.ask.category), channel, case.person.wishes)
        if not wanted:
            case.drop(DropReason.PREFERENCE)

    def _step(self, case: Case) -> Step | None:
        """Return the step that begins an attempt, or lets it wait, or drops it; None if the claim has run out."""
        stored, entry = case.stored, case.stored.entry
        now_us = micros_of(self.clock.now())
        try:
            if case.ending is None:
                assert case.provider is not None
                after = ledger.begin(entry, entry.fence, now_us, self.limits, case.provider.provider)
            elif case.ending.drop is not None:
                after = ledger.drop(entry, entry.fence, case.ending.drop)
            else:
                assert case.ending.hold is not None
                after = ledger.put_off(entry, entry.fence, case.ending.until_us, case.ending.hold)
        except StepRefusedError:
            if not entry.repeating:
                return None
            after = ledger.stop_repeating(entry, entry.fence)
            return Step(entry, replace(stored.stepped(after, now_us), look_us=now_us), now_us)
        begins = case.ending is None
        changed = replace(
            stored.stepped(after, now_us),
            channel=case.channel or stored.channel,
            tried=tuple(dict.fromkeys(case.tried)),
            look_us=after.leased_until_us if begins else now_us,
        )
        changed, receipt = sealed(changed, self.judge.receipt(case, after.attempt if begins else 0))
        return Step(
            entry, changed, now_us, receipt=receipt, begun=self._attempt(case, after, now_us) if begins else None
        )

    def _attempt(self, case: Case, entry: Entry, now_us: int) -> AttemptRow:
        assert case.channel is not None
        assert case.contact is not None
        return AttemptRow(
            case.stored.notification_id,
            entry.attempt,
            int(case.channel),
            entry.provider,
            now_us,
            address_hash=case.address_hash,
            contact_point_id=case.contact.contact_point_id,
            permission=self.permission_of(case.decision) if case.decision is not None else b"",
            person_id=case.ids[0],
            places=case.taking,
        )
