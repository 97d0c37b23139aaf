"""What decided whether two records are one person: read off the very graph, weights and constraints that decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from math import inf
from typing import Self

from rapport_identity.domain import relinking, sharing
from rapport_identity.domain.bonds import Bonds
from rapport_identity.domain.components import components
from rapport_identity.domain.entries import Entry
from rapport_identity.domain.evidence import Verdict, evidence
from rapport_identity.domain.index import Index
from rapport_identity.domain.linkage import Join
from rapport_identity.domain.records import RecordKey


class Decider(StrEnum):
    """What decided whether two records, or two groups of records, are one person."""

    EVIDENCE = "evidence"
    """The evidence between the two."""
    COMPANY = "company"
    """The other records of their persons: the average decides."""
    CONSTRAINT = "constraint"
    """A steward."""
    CONFLICT = "conflict"
    """A conflict that no evidence outweighs."""
    SHARED_IDENTIFIER = "shared_identifier"
    """What they have in common is an identifier that many hold."""
    NOT_COMPARED = "not_compared"
    """No key brings them together."""
    COMPONENT_CUT = "component_cut"
    """Their component was too large and was cut between them."""


@dataclass(frozen=True, slots=True)
class Decided:
    """Whether they are one person, and by what; the constraint where one decided."""

    verdict: Verdict
    by: Decider
    constraint_id: str = ""


@dataclass(slots=True)
class Surroundings:
    """All that hangs together with a record, linked: what decided between it and any other.

    Attributes:
        index: Where the records are.
        bonds: What stewards decided.
        part_of: For each record of the component, its part; there are several only if it was cut.
        person_of: For each, its person.
        persons: The records of each person.
        joins: The steps in which they came together.
    """

    index: Index
    bonds: Bonds
    part_of: Mapping[RecordKey, int]
    person_of: Mapping[RecordKey, int]
    persons: Sequence[Sequence[Entry]]
    joins: Sequence[Join]

    @classmethod
    def of(cls, index: Index, bonds: Bonds, start: Entry) -> Self:
        """Link the component of a record."""
        entries = {entry.key: entry for entry in relinking.component(index, start, bonds)}
        parts, _ = components(
            list(entries),
            relinking.edges(index, entries.values()),
            fracture=index.matcher.fracture,
            largest=index.matcher.largest_component,
            required=bonds.among({entry.number: entry.key for entry in entries.values()}).required,
        )
        linked = relinking.link(index, entries.values(), bonds)
        return cls(
            index,
            bonds,
            {key: at for at, part in enumerate(parts) for key in part},
            {key: at for at, cluster in enumerate(linked.clusters) for key in cluster},
            [[entries[key] for key in cluster] for cluster in linked.clusters],
            linked.joins,
        )

    def decided(self, one: Entry, other: Entry) -> Decided:
        """Return whether a record of the component and any other are one person, and what decided."""
        person, another = self.person_of[one.key], self.person_of.get(other.key)
        return self._together(one, other) if person == another else self._apart(one, other)

    def shared(self, one: Entry, other: Entry) -> bool:
        """Whether the two would be taken for one person if what they share with others were theirs alone."""
        matcher = self.index.matcher
        hidden = [
            set(_texts(each.columns, column)) - set(_texts(self.index.visible(each), column))
            for column in sharing.LIMITS
            for each in (one, other)
        ]
        if not any(left & right for left, right in zip(hidden[::2], hidden[1::2], strict=True)):
            return False
        whole = evidence(matcher, *(matcher.prepare_columns(each.key, each.columns) for each in (one, other)))
        return whole.verdict(matcher.join) is Verdict.TOGETHER

    def _together(self, one: Entry, other: Entry) -> Decided:
        constraint_id = self.bonds.between((one.number,), (other.number,), must=True)
        if not constraint_id:
            left, right, required = self._met_in(one.key, other.key)
            if required:
                constraint_id = self.bonds.between(left, right, must=True)
        if constraint_id:
            return Decided(Verdict.TOGETHER, Decider.CONSTRAINT, constraint_id)
        alone = self.index.score(one, other) >= self.index.matcher.join
        return Decided(Verdict.TOGETHER, Decider.EVIDENCE if alone else Decider.COMPANY)

    def _met_in(self, one: RecordKey, other: RecordKey) -> tuple[list[int], list[int], bool]:
        """Return the two sides of the join that brought two records together, and whether a steward required it."""
        entries = {entry.key: entry.number for entry in self.persons[self.person_of[one]]}
        groups = {key: [key] for key in entries}
        for step in self.joins:
            if step.left not in groups or step.right not in groups:
                continue
            left, right = groups[step.left], groups.pop(step.right)
            if (one in left and other in right) or (one in right and other in left):
                return [entries[key] for key in left], [entries[key] for key in right], step.bits == inf
            groups[step.left] = left + right
        raise AssertionError("records of one person were joined")

    def _apart(self, one: Entry, other: Entry) -> Decided:
        constraint_id = self.bonds.between((one.number,), (other.number,), must=False)
        if constraint_id:
            return Decided(Verdict.APART, Decider.CONSTRAINT, constraint_id)
        matcher = self.index.matcher
        found = evidence(matcher, self.index.prepared(one), self.index.prepared(other))
        if found.score < matcher.join:
            if self.shared(one, other):
                return Decided(Verdict.APART, Decider.SHARED_IDENTIFIER)
            compared = other.key in self.part_of or other in self.index.met(one)
            return Decided(Verdict.APART, Decider.EVIDENCE if compared else Decider.NOT_COMPARED)
        if found.conflicts:
            return Decided(Verdict.APART, Decider.CONFLICT)
        if other.key not in self.part_of:
            return Decided(Verdict.APART, Decider.NOT_COMPARED)
        if self.part_of[one.key] != self.part_of[other.key]:
            return Decided(Verdict.APART, Decider.COMPONENT_CUT)
        return self._kept_by_company(one, other)

    def _kept_by_company(self, one: Entry, other: Entry) -> Decided:
        sides = [self.persons[self.person_of[each.key]] for each in (one, other)]
        constraint_id = self.bonds.between(*([entry.number for entry in side] for side in sides), must=False)
        if constraint_id:
            return Decided(Verdict.APART, Decider.CONSTRAINT, constraint_id)
        if any(self.index.score(a, b) == -inf for a, b in product(*sides)):
            return Decided(Verdict.APART, Decider.CONFLICT)
        return Decided(Verdict.APART, Decider.COMPANY)


def _texts(columns: Mapping[str, object], column: str) -> tuple[str, ...]:
    values = columns[column]
    return values if isinstance(values, tuple) else ()
