"""Resolves records: a micro-batch is one transaction, under the lock, in which everything it touches is linked anew."""

from __future__ import annotations

import asyncio
from collections import ChainMap
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from rapport.identity.v1 import events_pb2, record_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.errors import CHASSIS_ERRORS

from rapport_identity.app.deciding import Decided, Telling, decide
from rapport_identity.app.ports import DataKey
from rapport_identity.app.replica import Replica, Trial
from rapport_identity.app.stored import KnownRecord, RecordDraft, SourceKey, StoredProfile
from rapport_identity.app.units import Loader, Position, Unit, Units, Write
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.records import RecordKey
from rapport_identity.translate import Facet, draft_of, facet_of


class Keys(Protocol):
    """Gives out fresh data keys that the key store has committed."""

    async def take(self, count: int) -> list[DataKey]:
        """Return so many.

        Raises:
            RapportError: NOT_READY.
        """
        ...


class Outcome(StrEnum):
    """What became of a record."""

    CREATED = "created"
    """A profile was made of it."""
    JOINED = "joined"
    """It joined a profile that was there."""
    UPDATED = "updated"
    """It is a new version."""
    UNCHANGED = "unchanged"
    """It is there already, or a later version of it is."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Who a record is.

    Attributes:
        profile_id: The profile.
        version: Its version.
        outcome: What became of the record.
        absorbed_ids: Profiles that its arrival merged into this one.
        epoch: The partition's life.
        position: What is known up to here knows the record.
    """

    profile_id: str
    version: int
    outcome: Outcome
    absorbed_ids: tuple[str, ...]
    epoch: str
    position: int


@dataclass(slots=True)
class Session:
    """The partition, locked, between what others wrote and what this transaction writes."""

    unit: Unit
    replica: Replica
    trial: Trial
    head: Position
    matcher_id: str
    facets: dict[int, Facet] = field(default_factory=dict)
    write: Write = field(default_factory=Write)
    decided: Decided | None = None

    async def finish(self, cause: events_pb2.ResolutionCause.ValueType) -> None:
        """Link what was touched anew, and write all of it."""
        revised = frozenset(number for number in self.facets if number in self.replica.owners)
        self.decided = await decide(self.unit, self.replica, revised)
        facets = ChainMap(self.facets, self.replica.facets)
        Telling(self.decided, facets, self.matcher_id, cause, self.head.recorded_at).into(self.write)
        owners = {step.number: step.to_id for step in self.decided.change.steps}
        self.write.added = [(number, owners[number], draft, key) for number, _, draft, key in self.write.added]
        await self.unit.write(self.write)

    def rows(self) -> dict[str, StoredProfile]:
        """Return the profiles as they are written."""
        return {row.profile_id: row for row in (*self.write.created, *self.write.changed)}


class Partition:
    """The replica of this process, and the one way in which it is written through.

    Args:
        units: Opens transactions.
        loader: Reads everything.
        matcher: Weighs.
        matcher_id: Its id.
    """

    def __init__(self, units: Units, loader: Loader, matcher: Matcher, matcher_id: str) -> None:
        self.units = units
        self.matcher_id = matcher_id
        self._loader = loader
        self._matcher = matcher
        self._replica: Replica | None = None
        self._lock = asyncio.Lock()

    @property
    def replica(self) -> Replica:
        """What this process knows.

        Raises:
            RapportError: NOT_READY: it was not read yet.
        """
        if self._replica is None:
            raise CHASSIS_ERRORS.error("NOT_READY", "the partition has not been read yet")
        return self._replica

    async def load(self) -> None:
        """Read everything, as when a process starts.

        Raises:
            RapportError: NOT_READY.
        """
        self._replica = await Replica.load(self._matcher, self.units, self._loader)

    async def refresh(self) -> None:
        """Follow what other processes wrote, so that what is read here is not older than this call.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._lock:
            async with self.units.unit() as unit:
                if await self.replica.catch_up(unit, await unit.read()):
                    return
            await self.load()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Give a locked partition; whatever fails, in here or at the commit, leaves the replica as it was.

        Raises:
            RapportError: NOT_READY. If the COMMIT was on its way, its outcome is unknown: a repeat is answered.
        """
        async with self._lock:
            replica = self.replica
            trial = Trial(replica)
            session = None
            try:
                async with self.units.unit() as unit:
                    if not await replica.catch_up(unit, await unit.lock()):
                        await self.load()  # nobody can change what it reads while this transaction holds the lock
                        replica = self.replica
                        trial = Trial(replica)
                    session = Session(unit, replica, trial, await unit.hold(), self.matcher_id)
                    yield session
            except BaseException:
                trial.take_back()
                raise
            if session.decided is not None:
                self._apply(session, session.decided)

    def _apply(self, session: Session, decided: Decided) -> None:
        replica = session.replica
        replica.facets.update(session.facets)
        for step in decided.change.steps:
            replica.assign(step.number, step.to_id)
        for each in (absorbed for merge in decided.change.merges for absorbed in merge.absorbed_ids):
            replica.versions.pop(each, None)
        redirects = session.write.redirects
        for each, row in session.rows().items():
            if redirects.get(each, each) == each:
                replica.versions[each] = row.version
        replica.position = session.head.position + 1


@dataclass(slots=True)
class _Arrival:
    """A record of a batch: where it was sent twice, the later version of it."""

    draft: RecordDraft
    message: record_pb2.Record
    known: KnownRecord | None = None
    number: int = 0
    outcome: Outcome = Outcome.UNCHANGED


class ResolveRecords:
    """Says who the persons of records are, and records them.

    Args:
        partition: Where they go.
        keys: Fresh data keys.
        clock: Says when a record came whose source does not say when it wrote it.
    """

    def __init__(self, partition: Partition, keys: Keys, clock: Clock) -> None:
        self._partition = partition
        self._keys = keys
        self._clock = clock

    async def __call__(self, messages: Sequence[record_pb2.Record]) -> list[Resolved]:
        """Return for each record who it is: durable, with the events that tell of it, when this returns.

        Raises:
            RapportError: NOT_READY. If the COMMIT was on its way, its outcome is unknown: a repeat is answered.
        """
        now = self._clock.now()
        drafts = [draft_of(message, now) for message in messages]
        arrivals: dict[SourceKey, _Arrival] = {}
        for draft, message in zip(drafts, messages, strict=True):
            earlier = arrivals.get(draft.key)
            if earlier is None or _order(earlier.draft) < _order(draft):
                arrivals[draft.key] = _Arrival(draft, message)
        index = self._partition.replica.index
        unknown = sum(index.number_of(RecordKey(*key)) is None for key in arrivals)
        keys = iter(await self._keys.take(unknown))
        async with self._partition.session() as session:
            await self._arrive(session, list(arrivals.values()), keys)
            if session.facets:
                await session.finish(events_pb2.RESOLUTION_CAUSE_MATCHER)
        answers = self._answers(session, arrivals)
        return [
            answers[draft.key] if arrivals[draft.key].draft is draft else _repeated(answers[draft.key])
            for draft in drafts
        ]

    async def _arrive(self, session: Session, arrivals: Sequence[_Arrival], keys: Iterator[DataKey]) -> None:
        known = await session.unit.find([each.draft for each in arrivals])
        new = [each for each in arrivals if each.draft.key not in known]
        for arrival, number in zip(new, await session.unit.numbers(len(new)), strict=True):
            arrival.number = number
            key = next(keys, None) or (await self._keys.take(1))[0]  # one that was known is erased since
            session.write.added.append((number, "", arrival.draft, key))
        for arrival in arrivals:
            held = arrival.known = known.get(arrival.draft.key)
            if held is not None:
                arrival.number = held.record_no
                if held.unchanged or arrival.draft.occurred_at < held.occurred_at:
                    continue
                session.write.revised.append((arrival.draft, held))
                arrival.outcome = Outcome.UPDATED
            else:
                arrival.outcome = Outcome.CREATED
            session.trial.put(arrival.number, arrival.message)
            session.facets[arrival.number] = facet_of(arrival.message, session.head.recorded_at)

    def _answers(self, session: Session, arrivals: Mapping[SourceKey, _Arrival]) -> dict[SourceKey, Resolved]:
        replica = session.replica
        change = session.decided.change if session.decided else None
        created = {part.profile_id: part.numbers[0] for part in change.created} if change else {}
        absorbed = {merge.result.profile_id: merge.absorbed_ids for merge in change.merges} if change else {}
        answers = {}
        for key, arrival in arrivals.items():
            profile_id = replica.owners[arrival.number]
            outcome = arrival.outcome
            if outcome is Outcome.CREATED and created.get(profile_id) != arrival.number:
                outcome = Outcome.JOINED
            merged = absorbed.get(profile_id, ()) if outcome is not Outcome.UNCHANGED else ()
            version = replica.versions[profile_id]
            answers[key] = Resolved(profile_id, version, outcome, merged, replica.epoch, replica.position)
        return answers


def _repeated(resolved: Resolved) -> Resolved:
    return replace(resolved, outcome=Outcome.UNCHANGED, absorbed_ids=())


def _order(draft: RecordDraft) -> tuple[object, bytes]:
    """By which the later of two versions is known whatever their order of arrival."""
    return draft.occurred_at, draft.payload
