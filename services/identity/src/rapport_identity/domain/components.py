"""What hangs together: the connected components of the match graph. One that is too large is cut at its weakest edges.

Where a record belongs follows from its surroundings alone, however large the whole is.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import floor

from rapport_identity.domain.records import RecordKey

Pair = tuple[RecordKey, RecordKey]
_Levelled = tuple[int, RecordKey, RecordKey]


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


def level_of(bits: float, fracture: float) -> int:
    """Return how many whole bits a weight is above the fracture value: at which level of a cut an edge still counts."""
    return floor(bits - fracture)


def components(
    keys: Collection[RecordKey], edges: Iterable[Edge], *, fracture: float, largest: int, required: Collection[Pair]
) -> tuple[list[list[RecordKey]], list[Cut]]:
    """Return the groups that are linked each for itself, and which were cut.

    A group that is too large is cut: from bit to bit the weakest edges cease to count in it, until what hangs together
    is small enough.

    Args:
        keys: All records.
        edges: Pairs that blocking brought together, with their bits.
        fracture: Weight of an edge from which it counts.
        largest: Records in a group at most.
        required: Pairs that are never cut, for they are not up for decision.
    """
    known = set(keys)
    required = [pair for pair in required if known.issuperset(pair)]
    heavy = [(level_of(e.bits, fracture), e.one, e.other) for e in edges if e.bits >= fracture]
    groups, cuts = [], []
    for whole, inside in _connected(sorted(known), heavy, required):
        parts = sorted(_cut(whole, inside, required, largest))
        groups += parts
        if len(parts) > 1:
            at = {key: part[0] for part in parts for key in part}
            cuts.append(Cut(whole[0], len(whole), sum(at[one] != at[other] for _, one, other in inside)))
    return sorted(groups), sorted(cuts, key=lambda cut: cut.smallest)


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


@dataclass(slots=True)
class _Forest:
    """Disjoint sets (union-find), each named by its smallest member."""

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
