"""Links anew what a change touched: the same persons as if all records were linked at once."""

from collections.abc import Iterable

from rapport_identity.domain import linkage
from rapport_identity.domain.bonds import Bonds
from rapport_identity.domain.index import Entry, Index


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
        component = _component(index, start, bonds)
        seen.update(component)
        if len(component) == 1:
            persons.append(component)
            continue
        by_key = {entry.key: entry for entry in component}
        found = linkage.partition(
            list(by_key),
            [
                linkage.Edge.of(a.key, b.key, bits)
                for a in component
                for b, bits in index.edges(a).items()
                if a.key < b.key
            ],
            lambda a, b, by_key=by_key: index.score(by_key[a], by_key[b]),  # type: ignore[misc]
            join=index.matcher.join,
            fracture=index.matcher.fracture,
            largest=index.matcher.largest_component,
            constraints=bonds.among({entry.number: entry.key for entry in component}),
        )
        persons += [[by_key[key] for key in cluster] for cluster in found.clusters]
        cuts += found.cuts
    return persons, cuts


def _component(index: Index, start: Entry, bonds: Bonds) -> list[Entry]:
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
