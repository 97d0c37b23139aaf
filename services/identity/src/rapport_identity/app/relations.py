"""What a profile has to do with others without being the same person: who lives together, who uses one device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from rapport_identity.app.replica import Replica
from rapport_identity.domain.entries import Entry
from rapport_identity.domain.folding import Columns
from rapport_identity.domain.sharing import Sharing


class RelationKind(StrEnum):
    """What two profiles have in common."""

    HOUSEHOLD = "household"
    """They live together: an address, and a name or a telephone number."""
    SHARED_CONTACT = "shared_contact"
    """They use the same contact point, for example a family's telephone."""
    SHARED_DEVICE = "shared_device"
    """They use the same device, browser or terminal."""


@dataclass(slots=True)
class Relation:
    """A relation to another profile.

    Attributes:
        kind: What it is.
        profile_id: The other profile.
        since: Since when it is known, in the world.
        kinds: Kinds of identifiers that both hold, by the contract's numbers.
    """

    kind: RelationKind
    profile_id: str
    since: datetime
    kinds: set[int] = field(default_factory=set)


_SHARED: Final = {
    "emails": RelationKind.SHARED_CONTACT,
    "phones": RelationKind.SHARED_CONTACT,
    "devices": RelationKind.SHARED_DEVICE,
}
_EMAIL, _PHONE, _DEVICE, _COOKIE = 1, 2, 4, 5
_KINDS: Final = {"emails": {_EMAIL}, "phones": {_PHONE}, "devices": {_DEVICE, _COOKIE}}
"""Kinds of identifiers, by the contract's numbers, in each column of the index."""


def relations(replica: Replica, profile_id: str) -> list[Relation]:
    """Return the relations of a profile, by kind and by the other profile.

    An identifier that is nobody's in particular, such as that of a kiosk that hundreds use, relates nobody to anybody.
    """
    found: dict[tuple[RelationKind, str], Relation] = {}
    for number in sorted(replica.members.get(profile_id, ())):
        entry = replica.index[number]
        for kind, other, kinds in (*_sharing(replica, entry), *_living_together(replica, entry)):
            owner = replica.owners.get(other.number, profile_id)
            if owner == profile_id:
                continue
            here, there = replica.facets[number], replica.facets[other.number]
            since = max(here.occurred_at, there.occurred_at)
            relation = found.setdefault((kind, owner), Relation(kind, owner, since))
            relation.since = min(relation.since, since)
            relation.kinds |= kinds.intersection(here.kinds, there.kinds)
    return [found[each] for each in sorted(found)]


def _sharing(replica: Replica, entry: Entry) -> Iterator[tuple[RelationKind, Entry, set[int]]]:
    """Yield who holds an identifier of a record's."""
    columns = entry.columns
    for column, kind in _SHARED.items():
        for value in columns[column] or ():
            verdict, holders = replica.index.holders(column, value)
            if verdict is not Sharing.COMMON:
                yield from ((kind, other, _KINDS[column]) for other in holders)


def _living_together(replica: Replica, entry: Entry) -> Iterator[tuple[RelationKind, Entry, set[int]]]:
    """Yield who has a record's address, and a name or a telephone number with it."""
    mine = entry.columns
    if mine["address"] is None:
        return
    for other in replica.index.met(entry):
        theirs = other.columns
        if mine["address"] != theirs["address"] or not _one_place(mine, theirs):
            continue
        phones = not set(mine["phones"] or ()).isdisjoint(theirs["phones"] or ())
        names = mine["surname"] is not None and mine["surname"] == theirs["surname"]
        if phones or names:
            yield RelationKind.HOUSEHOLD, other, {_PHONE} if phones else set()


def _one_place(mine: Columns, theirs: Columns) -> bool:
    """Whether two equal street addresses are in one place, as far as postcode or else town says."""
    for column in ("postcode", "city"):
        if mine[column] is not None and theirs[column] is not None:
            return mine[column] == theirs[column]
    return False
