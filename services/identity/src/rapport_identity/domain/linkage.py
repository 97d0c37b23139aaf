"""Which records are one person: canonical average linkage inside each component, a pure function of what is given.

Nothing depends on the order of arrival: records are taken in the order of their keys, weights are whole numbers (so
that sums are exact however they are grouped), and every tie is broken by the keys.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import floor, inf, isfinite
from typing import Final

from rapport_identity.domain.records import RecordKey

UNIT: Final = 1 << 20
"""Weights are counted in parts of a bit, this many to one."""

Pair = tuple[RecordKey, RecordKey]
Score = Callable[[RecordKey, RecordKey], float]


@dataclass(frozen=True, slots=True)
class Edge:
    """Two records that may be one person, and the bits that say so; `one` has the smaller key."""

    one: RecordKey
    other: RecordKey
    bits: float

    @classmethod
    def of(cls, a: RecordKey, b: RecordKey, bits: float) -> "Edge":
        """Return the edge with its ends in order."""
        return cls(a, b, bits) if a <= b else cls(b, a, bits)


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
class Cut:
    """A component that was too large, and what was left out of consideration for it.

    Attributes:
        smallest: Smallest key of the component.
        size: Records of the component.
        refused: Edges between its parts, which count no more.
    """

    smallest: RecordKey
    size: int
    refused: int


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


@dataclass(slots=True)
class _Forest:
    """Disjoint sets, each named by its smallest member."""

    parents: dict[RecordKey, RecordKey] = field(default_factory=dict)

    def root(self, key: RecordKey) -> RecordKey:
        root = key
        while (parent := self.parents.get(root, root)) != root:
            root = parent
        while key != root:
            self.parents[key], key = root, self.parents.get(key, key)
        return root

    def unite(self, a: RecordKey, b: RecordKey) -> None:
        if a != b:
            self.parents[max(a, b)] = min(a, b)

    def groups(self, keys: Iterable[RecordKey]) -> dict[RecordKey, list[RecordKey]]:
        groups: dict[RecordKey, list[RecordKey]] = {}
        for key in keys:
            groups.setdefault(self.root(key), []).append(key)
        return groups


def level(bits: float, fracture: float) -> int:
    """Return how many whole bits a weight is above the fracture value: at which level of a cut an edge still counts."""
    return floor(bits - fracture)


def components(
    keys: Sequence[RecordKey], edges: Iterable[Edge], *, fracture: float, largest: int, constraints: Constraints
) -> tuple[list[list[RecordKey]], list[Cut]]:
    """Return the groups that are linked each for itself, and which were cut.

    Edges count from the fracture value. A group that is too large is cut: from bit to bit the weakest edges cease to
    count in it, until what hangs together is small enough. So where a record belongs follows from its surroundings
    alone, however large the whole is. Required pairs are never cut, for they are not up for decision.
    """
    known = set(keys)
    required = [pair for pair in constraints.required if known.issuperset(pair)]
    heavy = [(level(e.bits, fracture), e.one, e.other) for e in edges if e.bits >= fracture]
    groups, cuts = [], []
    for whole, inside in _connected(sorted(known), heavy, required):
        parts = sorted(_cut(whole, inside, required, largest))
        groups += parts
        if len(parts) > 1:
            at = {key: part[0] for part in parts for key in part}
            cuts.append(Cut(whole[0], len(whole), sum(at[one] != at[other] for _, one, other in inside)))
    return sorted(groups), sorted(cuts, key=lambda cut: cut.smallest)


_Levelled = tuple[int, RecordKey, RecordKey]


def _cut(
    members: list[RecordKey], heavy: Sequence[_Levelled], required: Sequence[Pair], largest: int
) -> Iterator[list[RecordKey]]:
    """Yield the parts of a group, each its records in order."""
    pending = [(members, heavy)]
    while pending:
        members, heavy = pending.pop()
        if len(members) <= largest or not heavy:
            yield members
            continue
        weakest = min(at for at, _, _ in heavy)
        pending += _connected(members, [edge for edge in heavy if edge[0] > weakest], required)


def _connected(
    members: Sequence[RecordKey], heavy: Sequence[_Levelled], required: Sequence[Pair]
) -> list[tuple[list[RecordKey], list[_Levelled]]]:
    """Return what hangs together among records that are in order, each group with the edges inside it."""
    forest, known = _Forest(), set(members)
    for one, other in chain(required, ((one, other) for _, one, other in heavy)):
        if one in known and other in known:
            forest.unite(forest.root(one), forest.root(other))
    inside: dict[RecordKey, list[_Levelled]] = {}
    for edge in heavy:
        inside.setdefault(forest.root(edge[1]), []).append(edge)
    return [(group, inside.get(root, [])) for root, group in forest.groups(members).items()]


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
    groups, cuts = components(keys, edges, fracture=fracture, largest=largest, constraints=constraints)
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


def owners(partition_: Partition) -> Mapping[RecordKey, RecordKey]:
    """Return for each record the smallest record of its person."""
    return {key: cluster[0] for cluster in partition_.clusters for key in cluster}


def _units(bits: float) -> float:
    return round(bits * UNIT) if isfinite(bits) else bits
