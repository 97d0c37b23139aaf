"""Resolves records: a micro-batch is one transaction, under the lock, in which everything it touches is linked anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from rapport_identity.app.partition import Partition, Session, Token
from rapport_identity.app.ports import DataKey
from rapport_identity.app.stored import KnownRecord, RecordDraft, SourceKey, Submission
from rapport_identity.domain.records import RecordKey
from rapport_identity.domain.told import Cause


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
        number: The record's number.
        profile_id: The profile.
        version: Its version.
        outcome: What became of the record.
        absorbed_ids: Profiles that its arrival merged into this one.
        matcher_id: The matcher that decided.
        token: What is known up to here knows the record.
    """

    number: int
    profile_id: str
    version: int
    outcome: Outcome
    absorbed_ids: tuple[str, ...]
    matcher_id: str
    token: Token


@dataclass(slots=True)
class _Arrival:
    """A record of a batch: where it was sent twice, the later version of it."""

    submission: Submission
    known: KnownRecord | None = None
    number: int = 0
    outcome: Outcome = Outcome.UNCHANGED


class ResolveRecords:
    """Says who the persons of records are, and records them.

    Args:
        partition: Where they go.
        keys: Fresh data keys.
    """

    def __init__(self, partition: Partition, keys: Keys) -> None:
        self._partition = partition
        self._keys = keys

    async def __call__(self, submissions: Sequence[Submission]) -> list[Resolved]:
        """Return for each record who it is: durable, with the events that tell of it, when this returns.

        Raises:
            RapportError: NOT_READY. If the COMMIT was on its way, its outcome is unknown: a repeat is answered.
        """
        keys = await self.keys_for(submissions)
        async with self._partition.session() as session:
            return await self.within(session, submissions, keys)

    async def keys_for(self, submissions: Iterable[Submission]) -> list[DataKey]:
        """Return as many fresh keys as `within` will most likely need: taken before the lock, they delay nobody.

        Raises:
            RapportError: NOT_READY.
        """
        index = self._partition.replica.index
        names = {each.draft.key for each in submissions}
        return await self._keys.take(sum(index.number_of(RecordKey(*name)) is None for name in names))

    async def within(
        self, session: Session, submissions: Sequence[Submission], keys: Sequence[DataKey]
    ) -> list[Resolved]:
        """Return for each record who it is, as the one change of a session that the caller has opened.

        Raises:
            RapportError: NOT_READY.
        """
        arrivals: dict[SourceKey, _Arrival] = {}
        for each in submissions:
            earlier = arrivals.get(each.draft.key)
            if earlier is None or _order(earlier.submission.draft) < _order(each.draft):
                arrivals[each.draft.key] = _Arrival(each)
        await self._arrive(session, list(arrivals.values()), iter(keys))
        if session.facets:
            await session.finish(Cause.MATCHER)
        answers = _answers(session, arrivals)
        return [
            answers[each.draft.key]
            if arrivals[each.draft.key].submission is each
            else replace(answers[each.draft.key], outcome=Outcome.UNCHANGED, absorbed_ids=())
            for each in submissions
        ]

    async def _arrive(self, session: Session, arrivals: Sequence[_Arrival], keys: Iterator[DataKey]) -> None:
        drafts, index = [each.submission.draft for each in arrivals], session.replica.index
        fresh = sum(index.number_of(RecordKey(*draft.key)) is None for draft in drafts)
        known, numbers = await session.unit.find(drafts, fresh)
        new = [each for each in arrivals if each.submission.draft.key not in known]
        if len(numbers) < len(new):
            numbers += await session.unit.numbers(len(new) - len(numbers))
        for arrival, number in zip(new, numbers, strict=False):
            arrival.number = number
            key = next(keys, None) or (await self._keys.take(1))[0]  # one that was known is erased since
            session.write.added.append((number, "", arrival.submission.draft, key))
        for arrival in arrivals:
            draft = arrival.submission.draft
            held = arrival.known = known.get(draft.key)
            if held is not None:
                arrival.number = held.record_no
                if held.unchanged or draft.occurred_at < held.occurred_at:
                    continue
                session.write.revised.append((draft, held))
                arrival.outcome = Outcome.UPDATED
            else:
                arrival.outcome = Outcome.CREATED
            session.trial.put(arrival.number, arrival.submission.record, arrival.submission.values)
            facet = arrival.submission.facet
            if not arrival.submission.dated:
                facet = replace(facet, occurred_at=session.head.recorded_at)
            session.facets[arrival.number] = facet


def _answers(session: Session, arrivals: Mapping[SourceKey, _Arrival]) -> dict[SourceKey, Resolved]:
    change = session.decided.change if session.decided else None
    created = {part.profile_id: part.numbers[0] for part in change.created} if change else {}
    absorbed = {merge.result.profile_id: merge.absorbed_ids for merge in change.merges} if change else {}
    answers = {}
    for key, arrival in arrivals.items():
        profile_id = session.owner(arrival.number)
        outcome = arrival.outcome
        if outcome is Outcome.CREATED and created.get(profile_id) != arrival.number:
            outcome = Outcome.JOINED
        merged = absorbed.get(profile_id, ()) if outcome is not Outcome.UNCHANGED else ()
        version = session.version(profile_id)
        answers[key] = Resolved(arrival.number, profile_id, version, outcome, merged, session.matcher_id, session.token)
    return answers


def _order(draft: RecordDraft) -> tuple[object, bytes]:
    """By which the later of two versions is known whatever their order of arrival."""
    return draft.occurred_at, draft.payload
