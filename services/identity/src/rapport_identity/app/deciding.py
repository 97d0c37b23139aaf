"""What a change of records or constraints makes of the profiles: what is written, and what is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from rapport_chassis.ids import new_id

from rapport_identity.app.replica import Replica, members_of
from rapport_identity.app.stored import Move, MoveKind, ProfileStatus, StoredProfile
from rapport_identity.app.units import Unit, Write
from rapport_identity.domain import identities
from rapport_identity.domain.entries import Entry
from rapport_identity.domain.facets import Facet, ProfileState, state_of
from rapport_identity.domain.freezing import hold_still
from rapport_identity.domain.identities import Before, Change, Part, left_by_split, way
from rapport_identity.domain.relinking import relink
from rapport_identity.domain.told import Cause, ProfileCreated, ProfilesMerged, ProfileSplit, ProfileUpdated, Result


@dataclass(frozen=True, slots=True)
class Decided:
    """Who is who from now on, among those that a change touched.

    Attributes:
        before: The touched profiles as they were.
        change: What becomes of them.
        stored: These profiles as they are stored, and the ids that redirect to them.
        parked: Records that frozen profiles kept out, each with the profile.
    """

    before: Before
    change: Change
    stored: Mapping[str, StoredProfile]
    parked: Mapping[int, str] = field(default_factory=dict)


async def decide(unit: Unit, replica: Replica, revised: frozenset[int]) -> Decided:
    """Link what was touched anew, and say which ids the persons keep.

    Args:
        unit: The transaction, in which the partition is locked.
        replica: As of the head, with the change on trial.
        revised: Records with a new version: their profiles may say something else now.
    """
    persons, parked = _persons(replica), dict[int, str]()
    if replica.frozen:
        persons, parked = hold_still(persons, replica.owners, replica.members, replica.frozen)
    news = [each for each in persons if _is_news(replica, each, revised)]
    numbers = [number for each in news for number in each]
    owners = {number: replica.owners[number] for number in numbers if number in replica.owners}
    profile_ids = sorted(set(owners.values()))
    redirecting, stored = await unit.standing(profile_ids)
    redirects = {each: profile_id for profile_id, ids in redirecting.items() for each in ids}
    ways, id_ways, left = {}, {}, {}
    of_person = {number: at for at, each in enumerate(news) for number in each}
    apart = {each for each in profile_ids if len({of_person[number] for number in replica.members[each]}) > 1}
    joined = {
        each for person in news if len(met := {owners[one] for one in person if one in owners}) > 1 for each in met
    }
    if apart or joined:
        moving = [number for number, owner in owners.items() if owner in apart or owner in joined]
        histories, turns = await unit.histories(moving, [each for each, to in redirects.items() if to in apart])
        ways = {number: way(history) for number, history in histories.items()}
        left = {number: left_by_split(history) for number, history in histories.items()}
        id_ways = {each: way(history) for each, history in turns.items()}
    versions = {each: profile.version for each, profile in stored.items()}
    before = Before(owners, versions, redirects, ways, id_ways, left)
    return Decided(before, identities.change(before, news, lambda: new_id("profile")), stored, parked)


def _persons(replica: Replica) -> list[list[int]]:
    """Return the persons among all records that the touched ones hang together with, now or in a profile."""
    touched, beside = replica.index.take_touched(), dict[Entry, None]()
    while True:
        linked = relink(replica.index, touched, replica.bonds, beside)
        persons = [sorted(entry.number for entry in each) for each in linked]
        known = {number for each in persons for number in each}
        missing = members_of(replica, known) - known
        if not missing:
            return persons
        beside.update(dict.fromkeys(replica.index[number] for number in sorted(missing)))


def _is_news(replica: Replica, person: Sequence[int], revised: frozenset[int]) -> bool:
    """Whether a person is not exactly a profile of which nothing changed."""
    owner = replica.owners.get(person[0])
    return owner is None or replica.members[owner] != set(person) or not revised.isdisjoint(person)


@dataclass(slots=True)
class Telling:
    """Turns what was decided into rows, and into what others are told.

    Args:
        decided: What was decided.
        facets: What others may know of each record, as it is now.
        matcher_id: The matcher that decided.
        cause: Who decided.
    """

    decided: Decided
    facets: Mapping[int, Facet]
    matcher_id: str
    cause: Cause
    rows: dict[str, StoredProfile] = field(default_factory=dict)

    def into(self, write: Write) -> None:
        """Add it to what is written."""
        change, told = self.decided.change, write.told
        for split in change.splits:
            results = tuple(self._result(part) for part in split.parts)
            told.append(ProfileSplit(split.left_id, split.issued_ids, results, self.cause))
        for merge in change.merges:
            for each in merge.absorbed_ids:
                was = self._row(each)
                self.rows[each] = StoredProfile(each, merge.result.version, ProfileStatus.MERGED, was.state)
            told.append(ProfilesMerged(self._result(merge.result), self.cause))
        told += [ProfileCreated(self._result(part)) for part in change.created]
        for part in change.kept:
            was = self._row(part.profile_id)
            if was.state != self._state(part):
                told.append(ProfileUpdated(self._result(replace(part, version=was.version + 1))))
        write.parked.update(self.decided.parked)
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
        matcher = "" if self.cause is Cause.STEWARD else self.matcher_id
        cause = self.cause.value
        # That an id stands for itself from its issue on goes without saying.
        redirected = (
            Move(MoveKind.REDIRECT, each, to, None, matcher, cause)
            for each, to in change.redirects
            if each != to or each not in issued
        )
        moved = (Move(MoveKind.RECORD, step.from_id, step.to_id, step.number, matcher, cause) for step in change.steps)
        write.moves += chain(redirected, moved)

    def _row(self, profile_id: str) -> StoredProfile:
        return self.rows.get(profile_id) or self.decided.stored[profile_id]

    def _state(self, part: Part) -> ProfileState:
        return state_of([(number, self.facets[number]) for number in part.numbers])

    def _result(self, part: Part) -> Result:
        state = self._state(part)
        was = self.decided.stored.get(part.profile_id)
        frozen = was is not None and was.status is ProfileStatus.FROZEN
        status = ProfileStatus.FROZEN if frozen else ProfileStatus.ACTIVE
        self.rows[part.profile_id] = StoredProfile(part.profile_id, part.version, status, state)
        return Result(part.profile_id, part.version, state, part.redirect_ids)
