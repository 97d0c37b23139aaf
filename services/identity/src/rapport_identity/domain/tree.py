"""How the records of a person came together: the tree of joins (dendrogram), by key and code, no value."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from math import inf, isfinite

from rapport_identity.domain import linkage
from rapport_identity.domain.bonds import Bonds
from rapport_identity.domain.entries import Entry
from rapport_identity.domain.evidence import Verdict, evidence
from rapport_identity.domain.index import Index
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.records import RecordKey
from rapport_identity.domain.surroundings import Decided, Decider


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
