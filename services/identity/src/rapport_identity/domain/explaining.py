"""Why two records are one person or two, and how the records of a person came together: by key and code, no value.

Everything is read off the hot index: the same graph, weights and constraints that decided, so an explanation cannot
differ from what happened.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import nlargest
from itertools import islice, product
from math import inf, isfinite
from typing import Final, Self

from rapport_identity.domain import linkage, relinking, sharing
from rapport_identity.domain.bonds import Bonds
from rapport_identity.domain.evidence import Counterfactual, Evidence, Verdict, counterfactual, evidence
from rapport_identity.domain.index import Entry, Index
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.records import RecordKey
from rapport_identity.domain.sharing import Sharing

MOST_KEPT_APART: Final = 50
MOST_COMPARED: Final = 20_000
"""Pairs that are weighed in search of records that were kept out, at most."""


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


@dataclass(frozen=True, slots=True)
class MatchExplanation:
    """Why two records do or do not match."""

    evidence: Evidence
    decided: Decided
    counterfactual: Counterfactual


@dataclass(frozen=True, slots=True)
class TreeJoin:
    """Two branches that were joined. Nodes are numbered: leaves first in their order, then joins in theirs.

    Attributes:
        left: Node on one side.
        right: Node on the other.
        average: Average score over all pairs across, in bits.
        pairs: How many these are.
        strongest: The leaves of the pair across that speaks most for the join, and its score.
        decided: What decided it.
    """

    left: int
    right: int
    average: float
    pairs: int
    strongest: tuple[int, int, float]
    decided: Decided


@dataclass(frozen=True, slots=True)
class Tree:
    """How a person came together: applying the joins to the leaves in order gives the person again."""

    leaves: tuple[RecordKey, ...]
    joins: tuple[TreeJoin, ...]

    @property
    def weakest(self) -> int | None:
        """The join with the lowest average, by number; of several the first. None with one record."""
        return min(range(len(self.joins)), key=lambda at: self.joins[at].average, default=None)


@dataclass(frozen=True, slots=True)
class KeptApart:
    """Records of two persons between which evidence spoke: the pair, its score, and what kept them apart."""

    inside: Entry
    outside: Entry
    score: float
    decided: Decided


def explain_match(index: Index, bonds: Bonds, one: Entry, other: Entry) -> MatchExplanation:
    """Return why two records do or do not match under the matcher of the index."""
    found = evidence(index.matcher, index.prepared(one), index.prepared(other))
    decided = Surroundings.of(index, bonds, one).decided(one, other)
    return MatchExplanation(found, decided, counterfactual(index.matcher, found))


def explain_by(matcher: Matcher, index: Index, bonds: Bonds, one: Entry, other: Entry) -> MatchExplanation:
    """Return what another matcher, and stewards, say of two records taken for themselves, without company."""
    found = evidence(matcher, *(matcher.prepare_columns(each.key, index.visible(each)) for each in (one, other)))
    verdict = found.verdict(matcher.join)
    required, forbidden = (bonds.between((one.number,), (other.number,), must=must) for must in (True, False))
    if forbidden:
        decided = Decided(Verdict.APART, Decider.CONSTRAINT, forbidden)
    elif required:
        decided = Decided(Verdict.TOGETHER, Decider.CONSTRAINT, required)
    elif found.conflicts and found.score >= matcher.join:
        decided = Decided(verdict, Decider.CONFLICT)
    else:
        decided = Decided(verdict, Decider.EVIDENCE)
    return MatchExplanation(found, decided, counterfactual(matcher, found))


def grow(index: Index, bonds: Bonds, entries: Iterable[Entry], matcher: Matcher | None = None) -> Tree:
    """Return how these records come together, one person, whether or not they would be left at that.

    Average linkage inside one person takes the same steps whoever else is there, so this is what happened.

    Args:
        index: Where the records are.
        bonds: What stewards decided.
        entries: All records of a person.
        matcher: Weighs, if it is not that of the index.
    """
    by_key = {entry.key: entry for entry in sorted(entries, key=lambda entry: entry.key)}
    leaves = tuple(by_key)
    scores = _Scores(index, by_key, matcher or index.matcher)
    constraints = bonds.among({entry.number: entry.key for entry in by_key.values()})
    linked = linkage.link(leaves, scores.linking, join=-inf, constraints=constraints)
    node = {key: at for at, key in enumerate(leaves)}
    members = {key: [at] for at, key in enumerate(leaves)}
    joins: list[TreeJoin] = []
    for step in linked.joins:
        left, right = members[step.left], members.pop(step.right)
        across = [(scores.evidence(leaves[a], leaves[b]), -a, -b) for a, b in product(left, right)]
        bits, a, b = max(across)
        constraint_id = ""
        if step.bits == inf:
            sides = ([by_key[leaves[at]].number for at in side] for side in (left, right))
            constraint_id = bonds.between(*sides, must=True)
        by = Decider.CONSTRAINT if constraint_id else Decider.EVIDENCE if len(across) == 1 else Decider.COMPANY
        average = sum(each for each, _, _ in across) / len(across)
        decided = Decided(Verdict.TOGETHER, by, constraint_id)
        joins.append(TreeJoin(node[step.left], node[step.right], average, len(across), (-a, -b, bits), decided))
        members[step.left] = left + right
        node[step.left] = len(leaves) + len(joins) - 1
    return Tree(leaves, tuple(joins))


def kept_apart(index: Index, bonds: Bonds, entries: Sequence[Entry]) -> list[KeptApart]:
    """Return the nearest records that were kept out of a person although evidence spoke for them, best first.

    Args:
        index: Where the records are.
        bonds: What stewards decided.
        entries: All records of the person.
    """
    inside = set(entries)
    surroundings = Surroundings.of(index, bonds, entries[0])
    best: dict[Entry, tuple[float, Entry]] = {}
    for entry, other in islice(_neighbours(index, bonds, entries), MOST_COMPARED):
        if other in inside:
            continue
        score = evidence(index.matcher, index.prepared(entry), index.prepared(other)).score
        if other not in best or (-score, entry.key) < (-best[other][0], best[other][1].key):
            best[other] = score, entry
    floor = index.matcher.fracture
    spoken = {
        other: found for other, found in best.items() if found[0] >= floor or surroundings.shared(found[1], other)
    }
    nearest = nlargest(MOST_KEPT_APART, spoken.items(), key=lambda each: (each[1][0], each[0].key))
    return [KeptApart(entry, other, score, surroundings.decided(entry, other)) for other, (score, entry) in nearest]


def _neighbours(index: Index, bonds: Bonds, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Yield those who meet a person's records, by a key, by what a few share, or by a steward's ban."""
    for entry in entries:
        for number in sorted(set(bonds.parted_from(entry.number))):
            if number in index:
                yield entry, index[number]
        for other in sorted(index.met(entry), key=lambda other: other.number):
            yield entry, other
        for other in index.sharers(entry, Sharing.HOUSEHOLD):
            yield entry, other


class _Scores:
    """Scores of pairs by key, each computed once."""

    def __init__(self, index: Index, entries: Mapping[RecordKey, Entry], matcher: Matcher) -> None:
        self._matcher = matcher
        same = matcher is index.matcher
        self._prepared = {
            key: index.prepared(entry) if same else matcher.prepare_columns(key, index.visible(entry))
            for key, entry in entries.items()
        }
        self._known: dict[tuple[RecordKey, RecordKey], float] = {}

    def linking(self, one: RecordKey, other: RecordKey) -> float:
        """Return what linking sees: minus infinity for a veto."""
        bits = self._known[one, other] = self._matcher.score(self._prepared[one], self._prepared[other])
        return bits

    def evidence(self, one: RecordKey, other: RecordKey) -> float:
        """Return what the evidence says, vetoes apart."""
        bits = self._known[min(one, other), max(one, other)]
        if isfinite(bits):
            return bits
        return evidence(self._matcher, self._prepared[one], self._prepared[other]).score


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
    joins: Sequence[linkage.Join]

    @classmethod
    def of(cls, index: Index, bonds: Bonds, start: Entry) -> Self:
        """Link the component of a record."""
        entries = {entry.key: entry for entry in relinking.component(index, start, bonds)}
        parts, _ = linkage.components(
            list(entries),
            relinking.edges(index, entries.values()),
            fracture=index.matcher.fracture,
            largest=index.matcher.largest_component,
            constraints=bonds.among({entry.number: entry.key for entry in entries.values()}),
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
