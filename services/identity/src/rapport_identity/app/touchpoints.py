"""Takes in touchpoints: what is declared and permitted is recorded under the person it belongs to, and told to others.

A batch is one transaction under the lock of the partition. So the gate is asked at the instant of the effect, and of
somebody who may not be collected nothing is left: no record, no profile, no fact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.ids import new_id
from rapport_privacy.permits import Permits

from rapport_identity.app.collecting import Judged, judge, may_link, stale
from rapport_identity.app.declarations import Registry
from rapport_identity.app.facts import Answered, Fact, Facts, Ingested, RawTouchpoint
from rapport_identity.app.known import Known
from rapport_identity.app.partition import Partition, Session
from rapport_identity.app.resolve import ResolveRecords
from rapport_identity.app.stored import SourceKey, Submission
from rapport_identity.app.suppressing import SuppressionList, suppressed
from rapport_identity.domain.declarations import Declared, TypeTerms
from rapport_identity.domain.errors import ERRORS
from rapport_identity.domain.records import RecordKey
from rapport_identity.domain.sightings import News, Place, Sighted, Sightings, joined
from rapport_identity.domain.touchpoints import violations

Submit = Callable[[News, Sequence[Sighted], datetime], Submission]
"""Makes a record of a sighting: what is new, all that was seen together, and when it is recorded."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """A touchpoint of which something may be kept."""

    at: int
    raw: RawTouchpoint
    terms: TypeTerms
    place: Place
    unlinked: bool
    judged: Judged


class IngestTouchpoints:
    """Takes in batches of touchpoints, each judged by itself.

    Args:
        partition: Who is who.
        resolve: Resolves what is new of them.
        registry: What may be collected.
        gate: What is permitted.
        erased: Keeps what was erased from coming back.
        facts: Where facts are kept.
        submit: Makes records of sightings.
        clock: The time.
    """

    def __init__(
        self,
        partition: Partition,
        resolve: ResolveRecords,
        *,
        registry: Registry,
        gate: Permits,
        erased: SuppressionList,
        facts: Facts,
        submit: Submit,
        clock: Clock,
    ) -> None:
        self._partition = partition
        self._resolve = resolve
        self._registry = registry
        self._gate = gate
        self._erased = erased
        self._facts = facts
        self._submit = submit
        self._clock = clock

    async def __call__(self, touchpoints: Sequence[RawTouchpoint]) -> list[Ingested | RapportError]:
        """Return for each what became of it, or why it is UNDECLARED or SUPPRESSED: durable, with its event.

        Raises:
            RapportError: NOT_READY. If the COMMIT was on its way, its outcome is unknown: a repeat is answered.
        """
        async with self._partition.session() as session:
            return await self.within(session, touchpoints)

    async def within(self, session: Session, touchpoints: Sequence[RawTouchpoint]) -> list[Ingested | RapportError]:
        """Take them in as the one change of a session that the caller has opened.

        Raises:
            RapportError: NOT_READY.
        """
        now = self._clock.now()
        declared = await self._registry.declared(session.unit, now)
        faults = [_fault(each, declared, now) for each in touchpoints]
        if session.replica.erased:
            for at in await self._erased.blocked_touchpoints(session.unit, touchpoints):
                faults[at] = faults[at] or suppressed()
        events = {raw.event: at for at, raw in reversed([*enumerate(touchpoints)]) if faults[at] is None}
        earlier = await self._facts.answered(session.unit, events.keys()) if events else {}
        batch = _Batch(session, self._gate, declared)
        for event, at in sorted(events.items(), key=lambda item: item[1]):
            if event not in earlier:
                batch.offer(at, touchpoints[at])
        numbers = await self._resolved(session, batch.sightings)
        facts = batch.settle(numbers)
        fresh = batch.answers
        final = [(touchpoints[at].event, answer) for at, answer in fresh.items() if isinstance(answer, Ingested)]
        remembered = [(event, answer) for event, answer in final if event not in batch.passing]
        if facts or remembered:
            await self._facts.record(session.unit, session.token.position, facts, remembered)
        answers: list[Ingested | RapportError] = []
        for at, raw in enumerate(touchpoints):
            fault = faults[at]
            if fault is not None:
                answers.append(fault)
            elif raw.event in earlier:
                answers.append(_repeated(session, earlier[raw.event]))
            else:
                answer = fresh[events[raw.event]]
                if isinstance(answer, Ingested) and events[raw.event] != at and raw.event not in batch.passing:
                    answer = replace(answer, known=True)
                answers.append(answer)
        return answers

    async def _resolved(self, session: Session, sightings: Sightings) -> dict[RecordKey, int]:
        """Record what is new of who uses what, and return the numbers of these records.

        A record that a privacy request holds still stays as it is; what happened is recorded under it all the same.
        """
        owners, frozen = session.replica.owners, session.replica.frozen
        held = {each.key: each.revises for each in sightings.news.values() if owners.get(each.revises or 0) in frozen}
        news = [each for each in sightings.news.values() if each.key not in held]
        numbers = {key: number for key, number in held.items() if number is not None}
        if not news:
            return numbers
        before = await self._facts.seen_together(session.unit, [each.revises for each in news if each.revises])
        submissions = [
            self._submit(
                each,
                joined(each.identifiers.values(), before.get(each.revises or 0, ())),
                session.head.recorded_at,
            )
            for each in news
        ]
        keys = await self._resolve.keys_for(submissions)
        resolved = await self._resolve.within(session, submissions, keys)
        return numbers | {each.key: done.number for each, done in zip(news, resolved, strict=True)}


class _Batch:
    """Touchpoints between what was known before and what is recorded of them."""

    def __init__(self, session: Session, gate: Permits, declared: Declared) -> None:
        self.sightings = Sightings(Known(session.replica))
        self.answers: dict[int, Ingested | RapportError] = {}
        self.passing: set[SourceKey] = set()
        self._session = session
        self._gate = gate
        self._declared = declared
        self._taken: list[_Taken] = []

    def offer(self, at: int, raw: RawTouchpoint) -> None:
        """Take a touchpoint, as far as the gate permits it now."""
        terms = self._declared.types[raw.touchpoint.type]
        try:
            identifiers, place, unlinked = self._linked(raw, terms)
            judged = judge(self._gate, raw.touchpoint, terms, place.profile_ids)
        except RapportError as error:
            self.answers[at] = error
            return
        if judged.kept is None:
            self._refuse(at, raw, judged)
            return
        self.sightings.take(place, identifiers, brand_id=raw.touchpoint.brand_id, market=raw.touchpoint.market)
        self._taken.append(_Taken(at, raw, terms, place, unlinked, judged))

    def settle(self, numbers: dict[RecordKey, int]) -> list[Fact]:
        """Return the facts, now that it is known whose they are.

        Args:
            numbers: Of the records that were made of sightings.
        """
        session, facts = self._session, []
        for taken in self._taken:
            place = taken.place
            number = numbers[place.key] if place.key is not None else place.number
            assert number is not None
            owner = session.owner(number)
            judged = self._judged_of(taken, owner)
            if judged.kept is None:
                self._refuse(taken.at, taken.raw, judged)
                continue
            fact = Fact(
                new_id("fact"), number, owner, session.version(owner), judged.kept, judged.permits,
                session.head.recorded_at, judged.undecided,
            )  # fmt: skip
            facts.append(fact)
            self.answers[taken.at] = Ingested(
                judged.outcome, fact.recorded_at, fact.fact_id, owner, judged.refusals, unlinked=taken.unlinked
            )
        return facts

    def _linked(self, raw: RawTouchpoint, terms: TypeTerms) -> tuple[Sequence[Sighted], Place, bool]:
        """Return by which identifiers a touchpoint comes, where that leads, and whether some had to be left out."""
        place = self.sightings.place(raw.identifiers)
        unlinked = self.sightings.links(raw.identifiers, place)
        if unlinked is None or may_link(self._gate, raw.touchpoint, terms, place.profile_ids):
            return raw.identifiers, place, False
        return unlinked, self.sightings.place(unlinked), True

    def _judged_of(self, taken: _Taken, owner: str) -> Judged:
        """Return what may be kept under the profile that it has come to, which may be another than it led to."""
        key, redirects = taken.place.key, self._session.write.redirects
        led_to = taken.place.profile_ids if key is None else self.sightings.news[key].profile_ids
        came_to = {redirects.get(each, each) for each in led_to}
        was_there = owner in self._session.replica.versions
        if led_to == taken.place.profile_ids and came_to == ({owner} if was_there else set()):
            return taken.judged
        subjects = {each for each in led_to if redirects.get(each, each) == owner} | ({owner} if was_there else set())
        return judge(self._gate, taken.raw.touchpoint, taken.terms, subjects)

    def _refuse(self, at: int, raw: RawTouchpoint, judged: Judged) -> None:
        if judged.undecided:
            self.answers[at] = stale()
            return
        if not judged.is_final:
            self.passing.add(raw.event)
        self.answers[at] = Ingested(judged.outcome, self._session.head.recorded_at, refusals=judged.refusals)


def _fault(raw: RawTouchpoint, declared: Declared, now: datetime) -> RapportError | None:
    """Return why a touchpoint is refused as it is; None if it can be judged."""
    found = violations(raw.event.source, raw.touchpoint, declared, now)
    if found:
        return ERRORS.error("UNDECLARED", found[0].description, fields=found)
    if not raw.identifiers:
        return ERRORS.error("NAMES_NOBODY", "no identifier names anybody", field="identifiers")
    return None


def _repeated(session: Session, answered: Answered) -> Ingested:
    """Return the answer of then, with the profile of now."""
    owner = "" if answered.record_no is None else session.owner(answered.record_no)
    return replace(answered.ingested, known=True, profile_id=owner)
