"""Who is who: by an exact identifier, by any id ever issued, as of a time, and by likeness. Nothing here writes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rapport_identity.app.partition import Partition, current_ids
from rapport_identity.app.stored import ProfileStatus, StoredProfile
from rapport_identity.domain.errors import ERRORS
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
    """

    profile_id: str
    bits: float
    would_join: bool
    nearest: RecordKey
    nearest_bits: float


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search met: the most likely first, and the kinds of keys that too many hold to be looked at."""

    candidates: tuple[Candidate, ...]
    capped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A profile and its records.

    Attributes:
        profile: The profile as it is stored now; of a time past, the one that the id stood for then.
        redirect_ids: Every id that redirects to it now.
        numbers: Its records: now, or at the time asked about.
    """

    profile: StoredProfile
    redirect_ids: tuple[str, ...]
    numbers: tuple[int, ...]


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
    by_profile: dict[str, list[tuple[float, RecordKey]]] = {}
    for entry, bits in met.items():
        if owner := replica.owners.get(entry.number):
            by_profile.setdefault(owner, []).append((bits, entry.key))
    likely = {each: max(found) for each, found in by_profile.items()}
    if not unlikely:
        likely = {each: best for each, best in likely.items() if best[0] >= index.matcher.fracture}
    candidates = []
    for profile_id, (bits, key) in likely.items():
        average = index.average(record, [index[number] for number in replica.members[profile_id]])
        candidates.append(Candidate(profile_id, average, average >= index.matcher.join, key, bits))
    candidates.sort(key=lambda each: (-each.bits, -each.nearest_bits, each.profile_id))
    return Searched(tuple(candidates[:most]), tuple(capped))


async def get_profile(partition: Partition, issued_id: str, at: datetime | None = None) -> Held:
    """Return the profile that an id stands for, now or as of a time.

    Raises:
        RapportError: PROFILE_NOT_FOUND, PROFILE_ERASED, NOT_READY.
    """
    async with partition.units.unit() as unit:
        if at is None:
            (current,) = (await current_ids(unit, [issued_id])).values()
            numbers = tuple(sorted(partition.replica.members.get(current, ())))
        else:
            stood_for = await unit.stood_for(issued_id, at)
            if stood_for is None:
                raise ERRORS.error("PROFILE_NOT_FOUND", "the id had not been issued by then", field="profile_id")
            current, members = stood_for
            numbers = tuple(members)
        profile = (await unit.profiles([current]))[current]
        if profile.status is ProfileStatus.ERASED:
            raise ERRORS.error("PROFILE_ERASED", "the person was erased, for ever", field="profile_id")
        redirecting = (await unit.redirecting([current]))[current]
    return Held(profile, tuple(redirecting), numbers)
