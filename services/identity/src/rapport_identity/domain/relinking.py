"""Links anew what a change touched: the same persons as if all records were linked at once."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from rapport_identity.domain import linkage
from rapport_identity.domain.bonds import Bonds
from rapport_identity.domain.components import Cut, Edge, level_of
from rapport_identity.domain.entries import Entry
from rapport_identity.domain.index import Index
from rapport_identity.domain.records import RecordKey

_MANY: Final = 50
"""Records from which it pays to remember the scores of those that are linked together."""

_ABOVE_ALL: Final = 1 << 10
"""Level above that of any edge: there, only what stewards joined hangs together."""


def relink(index: Index, touched: Iterable[Entry], bonds: Bonds, beside: Iterable[Entry] = ()) -> list[list[Entry]]:
    """Return the persons among the records that hang together with the touched ones.

    The answer is that of `linkage.partition` over all records, restricted to these: nothing else can change when only
    these were touched. Where more hang together than are linked at once, that is the parts that the touched records
    and their neighbours are in, and were in without the touched ones; its cost does not depend on the size of the rest.

    Args:
        index: Where the records are.
        touched: Records of which edges may have changed.
        bonds: What stewards decided.
        beside: Further records whose persons are wanted.
    """
    persons: list[list[Entry]] = []
    touched = list(touched)
    moved, done, whole = frozenset(touched), set[Entry](), set[Entry]()
    around = dict.fromkeys(touched)
    for start in touched:
        if start in whole:
            continue
        found = _reached(index, start, bonds)
        if len(found) <= index.matcher.largest_component:
            whole.update(found)
            continue
        for near in _neighbours(index, start, bonds):
            if near not in around:
                around.update(dict.fromkeys(part(index, near, bonds, without=moved)))
    for each in (*around, *beside):
        if each not in done:
            found = part(index, each, bonds)
            done.update(found)
            persons += _persons(index, found, bonds)[0]
    return persons


def relink_whole(index: Index, start: Entry, bonds: Bonds) -> tuple[list[list[Entry]], tuple[Cut, ...]]:
    """Return the persons among all records that hang together with one, however many, and whether these were cut."""
    return _persons(index, component(index, start, bonds), bonds)


def component(index: Index, start: Entry, bonds: Bonds) -> list[Entry]:
    """Return the records that hang together with one, by edges and by what stewards joined; itself first."""
    return _reached(index, start, bonds, bounded=False)


def part(index: Index, start: Entry, bonds: Bonds, *, without: Collection[Entry] = ()) -> list[Entry]:
    """Return the records that are linked together with one: all that hang together with it, or its part of them.

    That is what hangs together with it at the lowest level at which this is few enough, as `components` cuts.

    Args:
        index: Where the records are.
        start: The record.
        bonds: What stewards joined.
        without: Records that are passed over.
    """
    largest = index.matcher.largest_component
    found = _reached(index, start, bonds, without=without)
    if len(found) <= largest:
        return found
    strongest = max(index.edges(start).values(), default=0.0)
    alone = not any(True for _ in bonds.bound_to(start.number))
    too_low, enough = 0, level_of(strongest, index.matcher.fracture) + 1 if alone else _ABOVE_ALL
    while enough - too_low > 1:
        between = (too_low + enough) // 2
        if len(_reached(index, start, bonds, between, without=without)) <= largest:
            enough = between
        else:
            too_low = between
    return _reached(index, start, bonds, enough, without=without, bounded=False)


def _reached(
    index: Index,
    start: Entry,
    bonds: Bonds,
    level: int = 0,
    *,
    without: Collection[Entry] = (),
    bounded: bool = True,
) -> list[Entry]:
    """Return the records that edges of a level lead to from one; a few too many if they are more than are linked.

    Args:
        index: Where the records are.
        start: The record.
        bonds: What stewards joined.
        level: Edges count from it.
        without: Records that are passed over.
        bounded: Whether to stop once they are more than are linked together.
    """
    limit = index.matcher.largest_component if bounded else len(index)
    found = {start: None}
    pending = [start]
    while pending and len(found) <= limit:
        for other in _neighbours(index, pending.pop(), bonds, level):
            if other not in found and other not in without:
                found[other] = None
                pending.append(other)
    return list(found)


def _neighbours(index: Index, entry: Entry, bonds: Bonds, level: int = 0) -> Iterator[Entry]:
    edges, fracture = index.edges(entry), index.matcher.fracture
    yield from edges if level == 0 else (each for each, bits in edges.items() if bits - fracture >= level)
    yield from (index[number] for number in bonds.bound_to(entry.number) if number in index)


def _persons(index: Index, found: Sequence[Entry], bonds: Bonds) -> tuple[list[list[Entry]], tuple[Cut, ...]]:
    if len(found) == 1:
        return [list(found)], ()
    by_key = {entry.key: entry for entry in found}
    linked = link(index, found, bonds)
    return [[by_key[key] for key in cluster] for cluster in linked.clusters], linked.cuts


def edges(index: Index, entries: Iterable[Entry]) -> list[Edge]:
    """Return the edges between the records of a component, each once."""
    return [
        Edge.of(entry.key, other.key, bits)
        for entry in entries
        for other, bits in index.edges(entry).items()
        if entry.key < other.key
    ]


def link(index: Index, entries: Collection[Entry], bonds: Bonds) -> linkage.Partition:
    """Return the persons among the records of a component."""
    by_key = {entry.key: entry for entry in entries}
    matcher, constraints = index.matcher, bonds.among({entry.number: entry.key for entry in entries})

    weigh = index.score if len(by_key) < _MANY else index.remembered_score

    def score(a: RecordKey, b: RecordKey) -> float:
        return weigh(by_key[a], by_key[b])

    if len(by_key) <= matcher.largest_component:  # nothing to cut
        return linkage.link(list(by_key), score, join=matcher.join, constraints=constraints)
    return linkage.partition(
        list(by_key),
        edges(index, entries),
        score,
        join=matcher.join,
        fracture=matcher.fracture,
        largest=matcher.largest_component,
        constraints=constraints,
    )
