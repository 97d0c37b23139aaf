"""Profiles as they are, and as of a time. Nothing here writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rapport_chassis.errors import RapportError
from rapport_chassis.once import Deed

from rapport_identity.app.partition import Partition
from rapport_identity.app.stored import HeldRecord, ProfileStatus, StoredProfile, Times
from rapport_identity.app.units import Unit
from rapport_identity.domain.errors import ERRORS
from rapport_identity.domain.facets import state_of

SCANNED: Final = 5_000
"""Profiles that one page looks at: where few of them are wanted, a page comes short, and the next one goes on."""


@dataclass(frozen=True, slots=True)
class Held:
    """A profile and its records.

    Attributes:
        profile: The profile as it is stored now; of a time past, the one that the id stood for then, with what its
            records of then say now.
        redirect_ids: Every id that redirected to it at the time asked about, in order.
        numbers: Its records at that time, in order.
        times: When it was made, and when it last changed.
        matcher_id: The matcher that decides.
    """

    profile: StoredProfile
    redirect_ids: tuple[str, ...]
    numbers: tuple[int, ...]
    times: Times
    matcher_id: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which profiles to list.

    Attributes:
        brand_id: Only those that have dealt with this brand; empty for all.
        market: Only those that have dealt in this market; empty for all.
        updated_since: Only those that changed at or after this time; None for all.
        known_only: Whether to leave out those of which nothing but devices and cookies is known.
    """

    brand_id: str = ""
    market: str = ""
    updated_since: datetime | None = None
    known_only: bool = False

    def has(self, profile: StoredProfile) -> bool:
        """Whether a profile is wanted, its time of change apart."""
        state = profile.state
        return (
            (not self.brand_id or self.brand_id in state.brand_ids)
            and (not self.market or self.market in state.markets)
            and not (self.known_only and state.anonymous)
        )


async def get_profile(partition: Partition, issued_id: str, at: datetime | None = None) -> Held:
    """Return the profile that an id stands for, now or as of a time.

    Raises:
        RapportError: PROFILE_NOT_FOUND, PROFILE_ERASED, NOT_READY.
    """
    (found,) = await get_profiles(partition, [issued_id], at)
    if isinstance(found, RapportError):
        raise found
    return found


async def get_profiles(
    partition: Partition, issued_ids: Sequence[str], at: datetime | None = None
) -> list[Held | RapportError]:
    """Return for each id the profile that it stands for, now or as of a time: or PROFILE_NOT_FOUND, PROFILE_ERASED.

    Raises:
        RapportError: NOT_READY.
    """
    async with partition.units.unit() as unit:
        current = await (unit.current(issued_ids) if at is None else unit.stood_for(issued_ids, at))
        found = await _held(partition, unit, sorted(set(current.values())), at)
    return [_answer(found.get(current.get(each, ""))) for each in issued_ids]


async def list_profiles(partition: Partition, wanted: Wanted, after: str, limit: int) -> tuple[list[Held], str]:
    """Return profiles by id, those after the given one, and after which the next page begins; empty on the last.

    Raises:
        RapportError: NOT_READY.
    """
    page: list[str] = []
    scanned = 0
    async with partition.units.unit() as unit:
        while len(page) < limit and scanned < SCANNED:
            batch = await unit.profiles_after(after, wanted.updated_since, limit)
            for profile in batch:
                after = profile.profile_id
                scanned += 1
                if wanted.has(profile):
                    page.append(profile.profile_id)
                if len(page) == limit:
                    break
            if len(batch) < limit and len(page) < limit:
                after = ""
                break
        found = await _held(partition, unit, page, None)
    return [found[each] for each in page], after


async def list_records(
    partition: Partition, issued_id: str, after: tuple[str, str], limit: int, deed: Deed
) -> tuple[list[HeldRecord], bool]:
    """Return records of a profile in clear, by key, those after the given one, and whether there are more. Audited.

    Raises:
        RapportError: PROFILE_NOT_FOUND, PROFILE_ERASED, NOT_READY.
    """
    await partition.refresh()
    held = await get_profile(partition, issued_id)
    index = partition.replica.index
    entries = sorted((index[number] for number in held.numbers if number in index), key=lambda entry: entry.key)
    rest = [entry.number for entry in entries if tuple(entry.key) > after]
    async with partition.units.unit() as unit:
        await unit.audit(deed)
        records = {each.record_no: each for each in await unit.held(rest[:limit])}
    return [records[number] for number in rest[:limit] if number in records], len(rest) > limit


async def _held(partition: Partition, unit: Unit, profile_ids: Sequence[str], at: datetime | None) -> dict[str, Held]:
    if not profile_ids:
        return {}
    profiles, times = await unit.profiles(profile_ids), await unit.times(profile_ids)
    replica = partition.replica
    if at is None:
        redirecting = await unit.redirecting(profile_ids)
        members = {each: sorted(replica.members.get(each, ())) for each in profile_ids}
    else:
        redirecting = await unit.redirected(profile_ids, at)
        members = await unit.members(profile_ids, at)
        for each, numbers in members.items():
            said = [(number, replica.facets[number]) for number in numbers if number in replica.facets]
            if said:
                was = profiles[each]
                profiles[each] = StoredProfile(each, was.version, was.status, state_of(said))
    return {
        each: Held(
            profiles[each],
            tuple(redirecting.get(each, ())),
            tuple(members.get(each, ())),
            times[each],
            partition.matcher_id,
        )
        for each in profile_ids
    }


def _answer(held: Held | None) -> Held | RapportError:
    if held is None:
        return ERRORS.error("PROFILE_NOT_FOUND", "the id was never issued, or not by then", field="profile_id")
    if held.profile.status is ProfileStatus.ERASED:
        return ERRORS.error("PROFILE_ERASED", "the person was erased, for ever", field="profile_id")
    return held
