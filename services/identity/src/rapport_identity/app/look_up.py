"""Whose an identifier is, and who somebody could be: from memory. Nothing here writes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rapport_identity.app.partition import Partition
from rapport_identity.domain.entries import Entry
from rapport_identity.domain.evidence import ComparisonBits, evidence
from rapport_identity.domain.records import Record, RecordKey
from rapport_identity.domain.sharing import Sharing


class LookUp(StrEnum):
    """What an identifier leads to."""

    FOUND = "found"
    NOT_FOUND = "not_found"
    SHARED = "shared"
    """Several hold it, or it is that of an office: it names nobody in particular."""


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to a look-up; the profile is empty unless one was found."""

    outcome: LookUp
    profile_id: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A profile that a search met.

    Attributes:
        profile_id: The profile.
        bits: Average weight between what was searched for and its records.
        would_join: Whether a record that said this would join it, nobody else being nearer.
        nearest: The record of it that is most alike.
        nearest_bits: Its weight.
        weights: Why that record is near.
    """

    profile_id: str
    bits: float
    would_join: bool
    nearest: RecordKey
    nearest_bits: float
    weights: tuple[ComparisonBits, ...]


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search met: the most likely first, and the kinds of keys that too many hold to be looked at."""

    candidates: tuple[Candidate, ...]
    capped: tuple[str, ...]


def look_up(partition: Partition, identifier: tuple[str, str] | None) -> Found:
    """Return who holds an identifier: from memory, as of the replica's position.

    Args:
        partition: Where to look.
        identifier: Its column and normal form; None for one that names nobody.
    """
    replica = partition.replica
    if identifier is None:
        return Found(LookUp.NOT_FOUND)
    verdict, entries = replica.index.holders(*identifier)
    holders = {owner for entry in entries if (owner := replica.owners.get(entry.number))}
    if not holders:
        return Found(LookUp.NOT_FOUND)
    if len(holders) > 1 or verdict is not Sharing.PERSONAL:
        return Found(LookUp.SHARED)
    (profile_id,) = holders
    return Found(LookUp.FOUND, profile_id, replica.versions[profile_id])


def search(partition: Partition, record: Record, *, most: int = 20, unlikely: bool = False) -> Searched:
    """Return the profiles that a record would meet; it leaves no trace.

    Args:
        partition: Where to search.
        record: What is known.
        most: How many profiles at most.
        unlikely: Whether to return those below the fracture value too.
    """
    replica = partition.replica
    index = replica.index
    met, capped = index.search(record)
    by_profile: dict[str, list[tuple[float, RecordKey, Entry]]] = {}
    for entry, bits in met.items():
        if owner := replica.owners.get(entry.number):
            by_profile.setdefault(owner, []).append((bits, entry.key, entry))
    likely = {each: max(found, key=lambda one: one[:2]) for each, found in by_profile.items()}
    if not unlikely:
        likely = {each: best for each, best in likely.items() if best[0] >= index.matcher.fracture}
    averages = {each: index.average(record, [index[number] for number in replica.members[each]]) for each in likely}
    ranked = sorted(likely, key=lambda each: (-averages[each], -likely[each][0], each))
    seen = index.probe(record)
    candidates = []
    for each in ranked[:most]:
        bits, key, nearest = likely[each]
        weights = evidence(index.matcher, seen, index.prepared(nearest)).weights
        candidates.append(Candidate(each, averages[each], averages[each] >= index.matcher.join, key, bits, weights))
    return Searched(tuple(candidates), tuple(capped))
