"""What stewards decided, by record number: groups that are one person, and groups no two of which are."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, pairwise, product

from rapport_identity.domain.linkage import NO_CONSTRAINTS, Constraints
from rapport_identity.domain.records import RecordKey

Groups = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Bond:
    """A constraint in force.

    Attributes:
        must: Whether the one group must match; else no group may match another.
        groups: Numbers of the records.
    """

    must: bool
    groups: Groups

    @property
    def numbers(self) -> set[int]:
        """All records that it binds."""
        return {number for group in self.groups for number in group}


@dataclass(slots=True)
class Bonds:
    """All constraints in force, found by the records they bind."""

    _bonds: dict[str, Bond] = field(default_factory=dict)
    _of_record: dict[int, set[str]] = field(default_factory=dict)

    def put(self, constraint_id: str, bond: Bond) -> None:
        """Have a constraint in force."""
        self.drop(constraint_id)
        self._bonds[constraint_id] = bond
        for number in bond.numbers:
            self._of_record.setdefault(number, set()).add(constraint_id)

    def drop(self, constraint_id: str) -> Bond | None:
        """Have a constraint in force no more, and return it."""
        bond = self._bonds.pop(constraint_id, None)
        for number in bond.numbers if bond else ():
            self._of_record[number].discard(constraint_id)
            if not self._of_record[number]:
                del self._of_record[number]
        return bond

    def get(self, constraint_id: str) -> Bond | None:
        """Return a constraint that is in force."""
        return self._bonds.get(constraint_id)

    def items(self) -> Iterable[tuple[str, Bond]]:
        """Return all of them, by constraint."""
        return self._bonds.items()

    def bound_to(self, number: int) -> Iterator[int]:
        """Yield the records that must match this one."""
        for constraint_id in self._of_record.get(number, ()):
            bond = self._bonds[constraint_id]
            if bond.must:
                yield from (other for group in bond.groups for other in group if other != number)

    def between(self, one: Collection[int], other: Collection[int], *, must: bool) -> str:
        """Return the constraint that joins or parts these, of several that with the smallest id; empty if none does."""
        for constraint_id in sorted({each for number in one for each in self._of_record.get(number, ())}):
            bond = self._bonds[constraint_id]
            here = {at for at, group in enumerate(bond.groups) if not set(one).isdisjoint(group)}
            there = {at for at, group in enumerate(bond.groups) if not set(other).isdisjoint(group)}
            if bond.must is must and (here & there if must else any(a != b for a in here for b in there)):
                return constraint_id
        return ""

    def parted_from(self, number: int) -> Iterator[int]:
        """Yield the records that must not match this one."""
        for constraint_id in self._of_record.get(number, ()):
            bond = self._bonds[constraint_id]
            if not bond.must:
                yield from (other for group in bond.groups if number not in group for other in group)

    def among(self, keys: Mapping[int, RecordKey]) -> Constraints:
        """Return what is decided between these records."""
        ids = {each for number in keys for each in self._of_record.get(number, ())} if self._bonds else ()
        if not ids:
            return NO_CONSTRAINTS
        required: set[tuple[RecordKey, RecordKey]] = set()
        forbidden: set[tuple[RecordKey, RecordKey]] = set()
        for constraint_id in ids:
            bond = self._bonds[constraint_id]
            groups = [[keys[number] for number in group if number in keys] for group in bond.groups]
            if bond.must:
                required.update(pair for group in groups for pair in pairwise(sorted(group)))
            else:
                forbidden.update(pair for a, b in combinations(groups, 2) for pair in product(a, b))
        return Constraints(frozenset(required), frozenset(forbidden))
