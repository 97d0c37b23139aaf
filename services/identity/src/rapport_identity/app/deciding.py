"""What a change of records or constraints makes of the profiles: what is written, and what is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Final, TypeVar

from rapport.identity.v1 import events_pb2
from rapport_chassis.ids import new_id

from rapport_identity.app.replica import Replica, members_of
from rapport_identity.app.stored import Move, MoveKind, ProfileStatus, StoredProfile
from rapport_identity.app.units import Unit, Write
from rapport_identity.domain import identities
from rapport_identity.domain.identities import Before, Change, Part, way
from rapport_identity.domain.relinking import relink
from rapport_identity.translate import Facet, state_of

CAUSES: Final[Mapping[events_pb2.ResolutionCause.ValueType, str]] = {
    events_pb2.RESOLUTION_CAUSE_MATCHER: "matcher",
    events_pb2.RESOLUTION_CAUSE_STEWARD: "steward",
}
"""Who decides, as moves say it."""


_Changed = TypeVar("_Changed", events_pb2.ProfileCreated, events_pb2.ProfileUpdated)
_Told = TypeVar(
    "_Told",
    events_pb2.ProfileCreated,
    events_pb2.ProfileUpdated,
    events_pb2.ProfilesMerged,
    events_pb2.ProfileSplit,
)


@dataclass(frozen=True, slots=True)
class Decided:
    """Who is who from now on, among those that a change touched.

    Attributes:
        before: The touched profiles as they were.
        change: What becomes of them.
        stored: These profiles as they are stored, and the ids that redirect to them.
    """

    before: Before
    change: Change
    stored: Mapping[str, StoredProfile]


async def decide(unit: Unit, replica: Replica, revised: frozenset[int]) -> Decided:
    """Link what was touched anew, and say which ids the persons keep.

    Args:
        unit: The transaction, in which the partition is locked.
        replica: As of the head, with the change on trial.
        revised: Records with a new version: their profiles may say something else now.
    """
    persons = _persons(replica)
    news = [each for each in persons if _is_news(replica, each, revised)]
    numbers = [number for each in news for number in each]
    owners = {number: replica.owners[number] for number in numbers if number in replica.owners}
    profile_ids = sorted(set(owners.values()))
    redirecting = await unit.redirecting(profile_ids)
    redirects = {each: profile_id for profile_id, ids in redirecting.items() for each in ids}
    stored = await unit.profiles([*profile_ids, *redirects])
    ways, id_ways = {}, {}
    of_person = {number: at for at, each in enumerate(news) for number in each}
    apart = {each for each in profile_ids if len({of_person[number] for number in replica.members[each]}) > 1}
    if apart:
        leaving = [number for number, owner in owners.items() if owner in apart]
        histories, turns = await unit.histories(leaving, [each for each, to in redirects.items() if to in apart])
        ways = {number: way(history) for number, history in histories.items()}
        id_ways = {each: way(history) for each, history in turns.items()}
    versions = {each: profile.version for each, profile in stored.items()}
    before = Before(owners, versions, redirects, ways, id_ways)
    return Decided(before, identities.change(before, news, lambda: new_id("profile")), stored)


def _persons(replica: Replica) -> list[list[int]]:
    """Return the persons among all records that the touched ones hang together with, now or in a profile."""
    touched = set(replica.index.take_touched())
    while True:
        linked, _ = relink(replica.index, sorted(touched, key=lambda entry: entry.number), replica.bonds)
        persons = [sorted(entry.number for entry in each) for each in linked]
        known = {number for each in persons for number in each}
        missing = members_of(replica, known) - known
        if not missing:
            return persons
        touched.update(replica.index[number] for number in missing)


def _is_news(replica: Replica, person: Sequence[int], revised: frozenset[int]) -> bool:
    """Whether a person is not exactly a profile of which nothing changed."""
    owner = replica.owners.get(person[0])
    return owner is None or replica.members[owner] != set(person) or not revised.isdisjoint(person)


@dataclass(slots=True)
class Telling:
    """Turns what was decided into rows and events.

    Args:
        decided: What was decided.
        facets: What others may know of each record, as it is now.
        matcher_id: The matcher that decided.
        cause: Who decided.
        recorded_at: Time of the write.
    """

    decided: Decided
    facets: Mapping[int, Facet]
    matcher_id: str
    cause: events_pb2.ResolutionCause.ValueType
    recorded_at: datetime
    rows: dict[str, StoredProfile] = field(default_factory=dict)

    def into(self, write: Write) -> None:
        """Add it to what is written."""
        change = self.decided.change
        for split in change.splits:
            results = [self._resulting(part) for part in split.parts]
            told = events_pb2.ProfileSplit(
                left_profile_id=split.left_id, issued_ids=split.issued_ids, profiles=results, cause=self.cause
            )
            write.events.append(self._at(told))
        for merge in change.merges:
            for each in merge.absorbed_ids:
                was = self.rows.get(each) or self.decided.stored[each]
                self.rows[each] = StoredProfile(each, merge.result.version, ProfileStatus.MERGED, was.state)
            survivor = self._resulting(merge.result)
            told_merge = events_pb2.ProfilesMerged(
                survivor_id=survivor.profile_id, profiles=[survivor], cause=self.cause
            )
            write.events.append(self._at(told_merge))
        for part in change.created:
            self._resulting(part)
            write.events.append(self._at(self._about(events_pb2.ProfileCreated(), part.profile_id)))
        for part in change.kept:
            was = self.rows.get(part.profile_id) or self.decided.stored[part.profile_id]
            if was.state != self._state(part):
                self._resulting(Part(part.profile_id, was.version + 1, part.numbers, part.redirect_ids))
                write.events.append(self._at(self._about(events_pb2.ProfileUpdated(), part.profile_id)))
        self._rows(write)

    def _rows(self, write: Write) -> None:
        change = self.decided.change
        issued = {part.profile_id for part in change.created}.union(*(split.issued_ids for split in change.splits))
        write.created += [row for each, row in self.rows.items() if each in issued]
        write.changed += [row for each, row in self.rows.items() if each not in issued]
        turned = dict(change.redirects)
        write.redirects.update({each: to for each, to in turned.items() if each not in issued or each != to})
        write.assigned.update(
            {step.number: step.to_id for step in change.steps if step.number in self.decided.before.owners}
        )
        matcher = self.matcher_id if self.cause == events_pb2.RESOLUTION_CAUSE_MATCHER else ""
        redirected = (
            Move(MoveKind.REDIRECT, each, to, None, matcher, CAUSES[self.cause]) for each, to in change.redirects
        )
        moved = (
            Move(MoveKind.RECORD, step.from_id, step.to_id, step.number, matcher, CAUSES[self.cause])
            for step in change.steps
        )
        write.moves += chain(redirected, moved)

    def _state(self, part: Part) -> bytes:
        return state_of([(number, self.facets[number]) for number in part.numbers])

    def _resulting(self, part: Part) -> events_pb2.ResultingProfile:
        state = self._state(part)
        self.rows[part.profile_id] = StoredProfile(part.profile_id, part.version, ProfileStatus.ACTIVE, state)
        return events_pb2.ResultingProfile(
            profile_id=part.profile_id,
            version=part.version,
            redirect_ids=part.redirect_ids,
            state=events_pb2.ProfileState.FromString(state),
        )

    def _about(self, told: _Changed, profile_id: str) -> _Changed:
        row = self.rows[profile_id]
        told.profile_id, told.version = row.profile_id, row.version
        told.state.MergeFromString(row.state)
        return told

    def _at(self, told: _Told) -> _Told:
        told.occurred_at.FromDatetime(self.recorded_at)
        told.recorded_at.FromDatetime(self.recorded_at)
        return told
