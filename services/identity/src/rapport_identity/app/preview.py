"""Use case: say what activating a matcher would merge, split and move, on the records as they are, without effect."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rapport_chassis.clock import Clock
from rapport_chassis.ids import new_id

from rapport_identity.app.computing import Computing, Report, snapshot_of
from rapport_identity.app.matchers import Matchers, Previewed, get_matcher
from rapport_identity.app.partition import Partition
from rapport_identity.app.units import Unit
from rapport_identity.domain import identities
from rapport_identity.domain.identities import Before, Change, left_by_split, way

_AT_ONCE: Final = 100
"""Groups of profiles whose history is read at once."""

Persons = list[Sequence[int]]


@dataclass(frozen=True, slots=True)
class PreviewedChange:
    """Profiles whose records would be parted otherwise.

    Attributes:
        profile_ids: The profiles as they are, in order.
        resulting: Records in each profile that would result, the largest first.
        moved: Records whose public id would be another one.
    """

    profile_ids: tuple[str, ...]
    resulting: tuple[int, ...]
    moved: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What activating a matcher would change.

    Attributes:
        matcher_id: The matcher.
        against: The one that decides.
        records: Records joined.
        before: Profiles now.
        after: Profiles then.
        merges: Profiles that would be absorbed.
        splits: Profiles that would fall apart.
        moved: Records whose public id would be another one.
        largest_before: Records in the largest profile now.
        largest_after: Records in the largest profile then.
        cuts: Components too large to join whole.
        changes: Those that move most records.
        as_of: When the records were read.
    """

    matcher_id: str
    against: str
    records: int
    before: int
    after: int
    merges: int
    splits: int
    moved: int
    largest_before: int
    largest_after: int
    cuts: int
    changes: tuple[PreviewedChange, ...]
    as_of: datetime


class PreviewMatcher:
    """Joins all records by a matcher, apart from what is served, and compares.

    Args:
        partition: The records.
        matchers: Keeps what was found, for the activation to look at.
        computing: Joins them.
        clock: The time.
    """

    def __init__(self, partition: Partition, matchers: Matchers, computing: Computing, clock: Clock) -> None:
        self._partition = partition
        self._matchers = matchers
        self._computing = computing
        self._clock = clock

    async def __call__(self, matcher_id: str, most_changes: int, report: Report) -> Preview:
        """Return what activating a matcher would change.

        Raises:
            RapportError: MATCHER_NOT_FOUND, NOT_READY, INTERNAL.
        """
        as_of = self._clock.now()
        async with self._partition.units.unit() as unit:
            await get_matcher(self._matchers, unit, matcher_id)
        snapshot = await snapshot_of(self._partition)
        joined = await self._computing.join(matcher_id, snapshot, report)
        owners = snapshot.owners
        members: dict[str, list[int]] = {}
        for number, owner in owners.items():
            members.setdefault(owner, []).append(number)
        groups = list(_groups(owners, members, joined.persons))
        changes: list[PreviewedChange] = []
        merges = splits = 0
        for at in range(0, len(groups), _AT_ONCE):
            async with self._partition.units.unit() as unit:
                for group, change in await _changes(unit, owners, members, groups[at : at + _AT_ONCE]):
                    held = {owners[number] for person in group for number in person}
                    merges += sum(each in held for merge in change.merges for each in merge.absorbed_ids)
                    splits += len(change.splits)
                    changes.append(_previewed(owners, held, group, change))
            await asyncio.sleep(0)
        moved = sum(each.moved for each in changes)
        async with self._partition.units.unit() as unit:
            await self._matchers.keep_preview(unit, matcher_id, snapshot.matcher_id, Previewed(moved, as_of))
        changes.sort(key=lambda each: (-each.moved, each.profile_ids))
        return Preview(
            matcher_id=matcher_id,
            against=snapshot.matcher_id,
            records=len(owners),
            before=len(members),
            after=len(joined.persons),
            merges=merges,
            splits=splits,
            moved=moved,
            largest_before=max(map(len, members.values()), default=0),
            largest_after=max(map(len, joined.persons), default=0),
            cuts=joined.cuts,
            changes=tuple(changes[:most_changes]),
            as_of=as_of,
        )


def _groups(
    owners: Mapping[int, str], members: Mapping[str, Sequence[int]], persons: Sequence[Sequence[int]]
) -> Iterator[Persons]:
    """Yield persons that are not exactly a profile, together with all whose profiles they share records with."""
    person_of = {number: at for at, person in enumerate(persons) for number in person}
    seen: set[int] = set()
    for start, person in enumerate(persons):
        if start in seen or (len(members[owners[person[0]]]) == len(person) == _shared(owners, person)):
            continue
        group, pending = {start}, [start]
        while pending:
            for owner in {owners[number] for number in persons[pending.pop()]}:
                near = {person_of[number] for number in members[owner]} - group
                group |= near
                pending += near
        seen |= group
        yield [persons[at] for at in sorted(group)]


def _shared(owners: Mapping[int, str], person: Sequence[int]) -> int:
    """Return how many records of a person are in the profile of its first."""
    return sum(owners[number] == owners[person[0]] for number in person)


async def _changes(
    unit: Unit, owners: Mapping[int, str], members: Mapping[str, Sequence[int]], groups: Sequence[Persons]
) -> list[tuple[Persons, Change]]:
    """Return what becomes of the ids of each group, by the rules by which an activation decides."""
    held = [sorted({owners[number] for person in group for number in person}) for group in groups]
    redirecting = await unit.redirecting([each for ids in held for each in ids])
    dormant = {each: owner for owner, ids in redirecting.items() for each in ids}
    versions = {each: profile.version for each, profile in (await unit.profiles([*redirecting, *dormant])).items()}
    numbers = [number for group in groups for person in group for number in person]
    histories, turns = await unit.histories(numbers, list(dormant))
    found = []
    for group, ids in zip(groups, held, strict=True):
        mine = {number: owners[number] for person in group for number in person}
        # What was written since the records were read may have led a record elsewhere: it counts as where it was.
        ways = {number: [*way(histories.get(number, ())), owner] for number, owner in mine.items()}
        redirects = {each: owner for each, owner in dormant.items() if owner in ids}
        id_ways = {each: way(turns.get(each, ())) for each in redirects}
        left = {number: left_by_split(histories.get(number, ())) for number in mine}
        before = Before(mine, versions, redirects, ways, id_ways, left)
        found.append((group, identities.change(before, group, lambda: new_id("profile"))))
    return found


def _previewed(owners: Mapping[int, str], held: set[str], group: Persons, change: Change) -> PreviewedChange:
    after = {step.number: step.to_id for step in change.steps}
    moved = sum(to != owners[number] for number, to in after.items())
    return PreviewedChange(tuple(sorted(held)), tuple(sorted(map(len, group), reverse=True)), moved)
