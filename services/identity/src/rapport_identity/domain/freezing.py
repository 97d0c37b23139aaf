"""What a privacy request holds still: a frozen profile neither gains nor loses a record, whatever would match."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple


class HeldStill(NamedTuple):
    """Who is who while some are frozen.

    Attributes:
        persons: The records of each person, each record once.
        parked: Records that were kept out, and the frozen profile that kept each; linked again once it is released.
    """

    persons: list[list[int]]
    parked: dict[int, str]


def hold_still(
    persons: Sequence[Sequence[int]],
    owners: Mapping[int, str],
    members: Mapping[str, Collection[int]],
    frozen: Collection[str],
) -> HeldStill:
    """Return persons of which those that are frozen stay exactly what they are.

    What a frozen profile brought together with itself stays as it was: profiles for themselves, and each new record for
    itself, since nobody knows what would hold them together without it.

    Args:
        persons: The records of each person as linking has it; of each profile all of them or none.
        owners: The profile of each record; a new one has none.
        members: The records of each profile.
        frozen: Profiles that are frozen.
    """
    found: list[list[int]] = []
    parked: dict[int, str] = {}
    still: set[str] = set()
    for person in persons:
        keeping = sorted({owners[each] for each in person if owners.get(each) in frozen})
        if not keeping:
            found.append(list(person))
            continue
        still.update(keeping)
        apart: dict[str | int, list[int]] = {}
        for number in person:
            owner = owners.get(number)
            if owner not in frozen:
                apart.setdefault(owner if owner is not None else number, []).append(number)
                parked[number] = keeping[0]
        found += apart.values()
    return HeldStill([*found, *(sorted(members[each]) for each in sorted(still))], parked)
