"""Which id each person keeps when the partition changes: every change is a row of splits, then a row of merges.

A record that goes from one person to another leaves by a split and arrives by a merge, under an id of its own in
between, so that whoever follows the ids (and the consents under them) need know no third kind of change.

Every record has a *home*: the id it would go by if all merges since were undone. A split looks at homes, a merge at
sizes, where a record that left a profile by a split counts for that profile too. So a split that undoes a merge gives
back the very ids, as does a merge that undoes a split, with nothing kept beside the history itself.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Passage(NamedTuple):
    """A step in the history of a record, or of what an id stands for.

    Attributes:
        profile_id: The profile it came to.
        by_merge: Whether the profile it came from was merged into that one then; else it was new, or split off.
    """

    profile_id: str
    by_merge: bool


@dataclass(frozen=True, slots=True)
class Before:
    """The touched profiles as they are.

    Attributes:
        owners: The profile of each record; all records of each profile are here. A record that is new is not.
        versions: The version of each profile, and of each id that redirects to one.
        redirects: The profile that each redirecting id stands for.
        ways: The way of each record; need be known only of profiles that fall apart.
        id_ways: The way of each redirecting id, likewise.
        left: The profile that a record left by a split, if it came to where it is by that; need be known only of
            profiles that become one.
    """

    owners: Mapping[int, str]
    versions: Mapping[str, int]
    redirects: Mapping[str, str] = field(default_factory=dict)
    ways: Mapping[int, Sequence[str]] = field(default_factory=dict)
    id_ways: Mapping[str, Sequence[str]] = field(default_factory=dict)
    left: Mapping[int, str] = field(default_factory=dict)

    def home(self, number: int) -> str:
        """Return the first on the way of a record that still stands for its profile."""
        owner = self.owners[number]
        return next(each for each in self.ways[number] if each == owner or self.redirects.get(each) == owner)


@dataclass(frozen=True, slots=True)
class Part:
    """A profile as a change leaves it.

    Attributes:
        profile_id: Its id.
        version: Its version.
        numbers: Its records, in order.
        redirect_ids: Every id that stands for it, in order; its own is not among them.
    """

    profile_id: str
    version: int
    numbers: tuple[int, ...]
    redirect_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """A profile fell apart.

    Attributes:
        left_id: The profile, which goes on as one of the parts.
        issued_ids: Ids issued for the first time; the other parts got an id back.
        parts: What it fell into.
    """

    left_id: str
    issued_ids: tuple[str, ...]
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Merge:
    """Profiles became one.

    Attributes:
        result: The profile that keeps its id, with all records of the person, new ones too.
        absorbed_ids: The profiles that were merged into it.
    """

    result: Part
    absorbed_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A record's way from one profile to the next; it comes from nowhere if it is new."""

    number: int
    from_id: str
    to_id: str


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of the touched profiles.

    Attributes:
        splits: The splits, which come first.
        merges: The merges.
        created: Profiles of new records alone.
        kept: Profiles that neither fell apart nor merged, with the version they have; new records may have come.
        steps: The ways of the records, in order.
        redirects: Each id whose meaning changes, step by step, and what it stands for from then on.
    """

    splits: tuple[Split, ...]
    merges: tuple[Merge, ...]
    created: tuple[Part, ...]
    kept: tuple[Part, ...]
    steps: tuple[Step, ...]
    redirects: tuple[tuple[str, str], ...]


def way(history: Iterable[Passage]) -> list[str]:
    """Return the profiles through which a record or id came to where it is by merges alone, its home first."""
    found: list[str] = []
    for profile_id, by_merge in history:
        if by_merge:
            found.append(profile_id)
        elif profile_id in found:  # it is itself again: the merges since are undone
            del found[found.index(profile_id) + 1 :]
        else:
            found = [profile_id]
    return found


def left_by_split(history: Sequence[Passage]) -> str:
    """Return the profile that a record left by its last passage, if that was a split; else nothing."""
    return history[-2].profile_id if len(history) > 1 and not history[-1].by_merge else ""


def change(before: Before, persons: Iterable[Collection[int]], issue: Callable[[], str]) -> Change:
    """Return which id each person goes by from now on.

    Args:
        before: All profiles that hold any of the records.
        persons: The records of each person, all records of these profiles and the new ones, each once.
        issue: Gives an id that was never given before.
    """
    return _Change(before, issue).to([tuple(sorted(numbers)) for numbers in persons])


@dataclass(slots=True)
class _Change:
    before: Before
    issue: Callable[[], str]
    redirects: dict[str, str] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    turns: list[tuple[str, str]] = field(default_factory=list)

    def to(self, persons: list[tuple[int, ...]]) -> Change:
        self.redirects = dict(self.before.redirects)
        self.versions = dict(self.before.versions)
        person_of = {number: index for index, numbers in enumerate(sorted(persons)) for number in numbers}
        pieces: dict[str, dict[int, list[int]]] = {}
        for number, owner in sorted(self.before.owners.items()):
            pieces.setdefault(owner, {}).setdefault(person_of[number], []).append(number)
        arriving: dict[int, dict[str, list[int]]] = {}
        splits = []
        for owner, parts in sorted(pieces.items()):
            names = {next(iter(parts)): owner}
            if len(parts) > 1:
                split, names = self._split(owner, parts)
                splits.append(split)
            for index, name in names.items():
                arriving.setdefault(index, {})[name] = parts[index]
        merges, created, kept = [], [], []
        for index, numbers in enumerate(sorted(persons)):
            came = arriving.get(index, {})
            new = [number for number in numbers if number not in self.before.owners]
            if not came:
                name = self._issued()
                created.append(self._part(name, numbers))
            elif len(came) == 1:
                (name,) = came
                kept.append(self._part(name, numbers))
            else:
                merge = self._merge(came, numbers)
                merges.append(merge)
                name = merge.result.profile_id
            self.steps += [Step(number, "", name) for number in new]
        return Change(tuple(splits), tuple(merges), tuple(created), tuple(kept), tuple(self.steps), tuple(self.turns))

    def _split(self, left: str, parts: Mapping[int, list[int]]) -> tuple[Split, dict[int, str]]:
        """Give each part an id: one keeps that of the profile, others get theirs back, the rest are issued one."""
        homes = {index: Counter(map(self.before.home, part)) for index, part in parts.items()}

        def heir(profile_id: str) -> int:
            """The part where most records are at home; then the larger, then that of the oldest record."""
            return max(parts, key=lambda index: (homes[index][profile_id], len(parts[index]), -parts[index][0]))

        names = {heir(left): left}
        dormant = sorted(each for each, stands_for in self.redirects.items() if stands_for == left)
        rest = {each: heir(each) for each in dormant if any(homes[index][each] for index in parts)}
        for index in sorted(parts):
            mine = [each for each, heir_of in rest.items() if heir_of == index]
            if index not in names and mine:
                # The id that was merged away last had taken in the others before.
                names[index] = max(mine, key=lambda each: (self.versions[each], homes[index][each], each))
            elif index not in names:
                names[index] = ""
        version = 1 + max(self.versions[each] for each in (left, *dormant))
        issued = []
        for index, name in sorted(names.items()):
            if not name:
                names[index] = self._issued()
                issued.append(names[index])
            elif name != left:
                self._turn(name, name)
        for each in dormant:
            if each not in names.values():
                self._turn(each, names[rest[each]] if each in rest else self._follows(each, left, names.values()))
        for index, name in sorted(names.items()):
            self.versions[name] = version
            if name != left:
                self.steps += [Step(number, left, name) for number in parts[index]]
        results = tuple(self._part(names[index], parts[index]) for index in sorted(parts))
        return Split(left, tuple(issued), results), names

    def _follows(self, issued_id: str, left: str, names: Collection[str]) -> str:
        """Return what an id without records goes with: the last on its way that is itself again, else the profile."""
        way_there = [each for each in self.before.id_ways[issued_id] if each != left]
        return next((each for each in reversed(way_there) if each in names), left)

    def _merge(self, came: Mapping[str, list[int]], numbers: Sequence[int]) -> Merge:
        """Let the id survive that had a profile before and most records; then that of the oldest record.

        Records that had left a profile by a split, and now come to it again, are its records already.
        """
        returning = Counter(
            self.before.left.get(number, "")
            for each, mine in came.items()
            for number in mine
            if self.before.left.get(number, "") != each
        )

        def weight(profile_id: str) -> tuple[bool, int, int]:
            back = returning[profile_id]
            stood = back > 0 or profile_id in self.before.owners.values()
            return stood, len(came[profile_id]) + back, -came[profile_id][0]

        survivor = max(came, key=weight)
        version = 1 + max(self.versions[each] for each in came)
        absorbed = sorted(each for each in came if each != survivor)
        for each, stands_for in sorted(self.redirects.items()):
            if stands_for in absorbed and each != stands_for:
                self._turn(each, survivor)
        for each in absorbed:
            self._turn(each, survivor)
            self.steps += [Step(number, each, survivor) for number in came[each]]
        for each in came:
            self.versions[each] = version
        return Merge(self._part(survivor, numbers), tuple(absorbed))

    def _issued(self) -> str:
        profile_id = self.issue()
        self.versions[profile_id] = 1
        self._turn(profile_id, profile_id)
        return profile_id

    def _turn(self, issued_id: str, stands_for: str) -> None:
        self.turns.append((issued_id, stands_for))
        if issued_id == stands_for:
            self.redirects.pop(issued_id, None)
        else:
            self.redirects[issued_id] = stands_for

    def _part(self, profile_id: str, numbers: Sequence[int]) -> Part:
        redirecting = sorted(each for each, stands_for in self.redirects.items() if stands_for == profile_id)
        return Part(profile_id, self.versions[profile_id], tuple(numbers), tuple(redirecting))
