"""Links anew what a change touched: the same persons as if all records were linked at once."""

from collections.abc import Collection, Iterable

from rapport_identity.domain import linkage
from rapport_identity.domain.bonds import Bonds
from rapport_identity.domain.index import Entry, Index
from rapport_identity.domain.records import RecordKey


def relink(index: Index, touched: Iterable[Entry], bonds: Bonds) -> tuple[list[list[Entry]], tuple[linkage.Cut, ...]]:
    """Return the persons among the records that hang together with the touched ones, and which components were cut.

    The answer is that of `linkage.partition` over all records, restricted to these components: nothing outside them
    can change when only these were touched.
    """
    persons: list[list[Entry]] = []
    cuts: tuple[linkage.Cut, ...] = ()
    seen: set[Entry] = set()
    for start in touched:
        if start in seen:
            continue
        found = component(index, start, bonds)
        seen.update(found)
        if len(found) == 1:
            persons.append(found)
            continue
        by_key = {entry.key: entry for entry in found}
        linked = link(index, found, bonds)
        persons += [[by_key[key] for key in cluster] for cluster in linked.clusters]
        cuts += linked.cuts
    return persons, cuts


def component(index: Index, start: Entry, bonds: Bonds) -> list[Entry]:
    """Return the records that hang together with one, by edges and by what stewards joined; itself first."""
    found = {start: None}
    pending = [start]
    while pending:
        entry = pending.pop()
        bound = (index[number] for number in bonds.bound_to(entry.number) if number in index)
        for other in (*index.edges(entry), *bound):
            if other not in found:
                found[other] = None
                pending.append(other)
    return list(found)


def edges(index: Index, entries: Iterable[Entry]) -> list[linkage.Edge]:
    """Return the edges between the records of a component, each once."""
    return [
        linkage.Edge.of(entry.key, other.key, bits)
        for entry in entries
        for other, bits in index.edges(entry).items()
        if entry.key < other.key
    ]


def link(index: Index, entries: Collection[Entry], bonds: Bonds) -> linkage.Partition:
    """Return the persons among the records of a component."""
    by_key = {entry.key: entry for entry in entries}
    matcher, constraints = index.matcher, bonds.among({entry.number: entry.key for entry in entries})

    def score(a: RecordKey, b: RecordKey) -> float:
        return index.score(by_key[a], by_key[b])

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
