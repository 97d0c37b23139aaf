"""Which records are one person: canonical average linkage inside each component, a pure function of what is given.

Nothing depends on the order of arrival: records are taken in the order of their keys, weights are whole numbers (so
that sums are exact however they are grouped), and every tie is broken by the keys.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Final

from rapport_identity.domain.components import Cut, Edge, Pair, components
from rapport_identity.domain.records import RecordKey

UNIT: Final = 1 << 20
"""Weights are counted in parts of a bit, this many to one."""

Score = Callable[[RecordKey, RecordKey], float]


@dataclass(frozen=True, slots=True)
class Constraints:
    """What stewards decided.

    Attributes:
        required: Pairs that are one person whatever the weights say.
        forbidden: Pairs that are two persons; they hold against a required pair too.
    """

    required: frozenset[Pair] = frozenset()
    forbidden: frozenset[Pair] = frozenset()

    def __post_init__(self) -> None:
        """Put the ends of each pair in order."""
        for name in ("required", "forbidden"):
            pairs: Iterable[Pair] = getattr(self, name)
            object.__setattr__(self, name, frozenset((min(pair), max(pair)) for pair in pairs))


NO_CONSTRAINTS: Final = Constraints()


@dataclass(frozen=True, slots=True)
class Join:
    """One step of how a person came together.

    Attributes:
        left: Smallest key of the one cluster, which is also the name of the result.
        right: Smallest key of the other.
        bits: Average weight over all pairs between the two; infinite where a steward required it.
        size: Records of the result.
    """

    left: RecordKey
    right: RecordKey
    bits: float
    size: int


@dataclass(frozen=True, slots=True)
class Partition:
    """Who is who.

    Attributes:
        clusters: The persons, each its records in order; in the order of their smallest records.
        joins: The steps, component by component, in the order in which they were taken.
        cuts: Components that were cut.
    """

    clusters: tuple[tuple[RecordKey, ...], ...]
    joins: tuple[Join, ...] = ()
    cuts: tuple[Cut, ...] = ()


def link(members: Sequence[RecordKey], score: Score, *, join: float, constraints: Constraints) -> Partition:
    """Return the persons of one component.

    Average linkage: of all pairs of clusters the one with the highest average weight between their records is joined,
    as long as it reaches the join value. A pair of minus infinity or a forbidden one keeps its clusters apart for good.

    Args:
        members: The records.
        score: Bits of a pair; minus infinity is a veto.
        join: Average from which two clusters are one.
        constraints: What stewards decided.
    """
    keys = sorted(set(members))
    at = {key: index for index, key in enumerate(keys)}
    apart = {(at[a], at[b]) for a, b in constraints.forbidden if a in at and b in at}
    bound = sorted((at[a], at[b]) for a, b in constraints.required if a in at and b in at)
    sums = [[0.0] * len(keys) for _ in keys]
    for i, one in enumerate(keys):
        row = sums[i]
        for j in range(i):
            row[j] = sums[j][i] = -inf if (j, i) in apart else _units(score(keys[j], one))
    clusters = _Clusters(keys, sums, {index: [index] for index in range(len(keys))})
    for i, j in bound:
        clusters.require(i, j, apart)
    clusters.agglomerate(_units(join))
    return Partition(clusters.result(), tuple(clusters.joins))


@dataclass(slots=True)
class _Clusters:
    """Clusters named by their smallest member, and the sum of weights between any two."""

    keys: Sequence[RecordKey]
    sums: list[list[float]]
    members: dict[int, list[int]]
    joins: list[Join] = field(default_factory=list)

    def require(self, i: int, j: int, apart: set[tuple[int, int]]) -> None:
        """Join the clusters of two records, vetoes or not, unless that would unite a forbidden pair."""
        left, right = sorted(next(name for name, all_ in self.members.items() if index in all_) for index in (i, j))
        between = {(min(a, b), max(a, b)) for a in self.members[left] for b in self.members[right]}
        if left != right and between.isdisjoint(apart):
            self._merge(left, right, inf)

    def agglomerate(self, join: float) -> None:
        """Join the pair with the highest average until none reaches the join value."""
        names = sorted(self.members)
        queue = [entry for at, i in enumerate(names) for entry in self._worth(i, names[at + 1 :], join)]
        heapq.heapify(queue)
        while queue:
            negative, i, j, size = heapq.heappop(queue)
            if i not in self.members or j not in self.members or len(self.members[i]) + len(self.members[j]) != size:
                continue
            self._merge(i, j, -negative / UNIT)
            for entry in self._worth(i, self.members, join):
                heapq.heappush(queue, entry)

    def _worth(self, i: int, others: Iterable[int], join: float) -> Iterator[tuple[float, int, int, int]]:
        """Yield what the queue holds of a cluster and those that may join it.

        That is the average, negative so that the highest comes first, the two in order, and the size of both, which
        says later whether they are still the same.
        """
        sums, size = self.sums[i], len(self.members[i])
        for j in others:
            more = len(self.members[j])
            if (average := sums[j] / (size * more)) >= join and i != j:
                yield -average, min(i, j), max(i, j), size + more

    def _merge(self, i: int, j: int, bits: float) -> None:
        self.members[i] += self.members.pop(j)
        sums, more = self.sums[i], self.sums[j]
        for k in self.members:
            sums[k] = self.sums[k][i] = sums[k] + more[k]
        self.joins.append(Join(self.keys[i], self.keys[j], bits, len(self.members[i])))

    def result(self) -> tuple[tuple[RecordKey, ...], ...]:
        return tuple(
            tuple(self.keys[index] for index in sorted(indices)) for _, indices in sorted(self.members.items())
        )


def partition(
    keys: Sequence[RecordKey],
    edges: Iterable[Edge],
    score: Score,
    *,
    join: float,
    fracture: float,
    largest: int,
    constraints: Constraints = NO_CONSTRAINTS,
) -> Partition:
    """Return the persons among the records.

    Args:
        keys: All records.
        edges: Pairs that blocking brought together, with their bits.
        score: Bits of any pair, also of those that blocking did not bring together.
        join: Average weight from which two clusters are one.
        fracture: Weight of an edge from which it counts.
        largest: Records that are linked together at most.
        constraints: What stewards decided.
    """
    groups, cuts = components(keys, edges, fracture=fracture, largest=largest, required=constraints.required)
    clusters: list[tuple[RecordKey, ...]] = []
    joins: list[Join] = []
    for group in groups:
        if len(group) == 1:
            clusters.append((group[0],))
            continue
        linked = link(group, score, join=join, constraints=constraints)
        clusters += linked.clusters
        joins += linked.joins
    return Partition(tuple(sorted(clusters)), tuple(joins), tuple(cuts))


def _units(bits: float) -> float:
    return round(bits * UNIT) if isfinite(bits) else bits
