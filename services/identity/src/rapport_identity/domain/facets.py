"""What others may know of records and of profiles: nothing of it names anybody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

BRANDS: Final = 200
MARKETS: Final = 100
TIME_ZONES: Final = 50
"""Most that a profile's state names of each, as the contract has it; the first in their order."""


@dataclass(frozen=True, slots=True)
class Facet:
    """What others may know of a record.

    Attributes:
        kinds: Kinds of identifiers it holds, by the contract's numbers, in order.
        anonymous: Whether it holds nothing but devices and cookies.
        brand_id: Its brand; empty for none in particular.
        market: Its market; empty if unknown.
        locale: The language; empty if unknown.
        time_zone: The time zone; empty if unknown.
        occurred_at: When its source wrote it, or, where it does not say, when it was recorded.
    """

    kinds: tuple[int, ...]
    anonymous: bool
    brand_id: str
    market: str
    locale: str
    time_zone: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class ProfileState:
    """All that others may know of a profile.

    Attributes:
        anonymous: True while nothing but devices and cookies is known: nobody in particular.
        identifier_kinds: Kinds of identifiers held, by the contract's numbers, in order.
        record_count: Records joined in it.
        brand_ids: Brands it has dealt with, in order.
        markets: Markets it has dealt in, in order.
        locale: Language of the record that says so last; empty if none does.
        time_zones: Every time zone the person may be in, in order.
        first_seen_at: When it was first seen, in the world.
    """

    anonymous: bool
    identifier_kinds: tuple[int, ...]
    record_count: int
    brand_ids: tuple[str, ...]
    markets: tuple[str, ...]
    locale: str
    time_zones: tuple[str, ...]
    first_seen_at: datetime


def state_of(facets: Sequence[tuple[int, Facet]]) -> ProfileState:
    """Return all that others may know of a profile, from its records by number."""
    held = [facet for _, facet in facets]
    speaking = [(facet.occurred_at, number, facet.locale) for number, facet in facets if facet.locale]
    return ProfileState(
        anonymous=all(facet.anonymous for facet in held),
        identifier_kinds=tuple(sorted({kind for facet in held for kind in facet.kinds})),
        record_count=len(held),
        brand_ids=_known((facet.brand_id for facet in held), BRANDS),
        markets=_known((facet.market for facet in held), MARKETS),
        locale=max(speaking)[2] if speaking else "",
        time_zones=_known((facet.time_zone for facet in held), TIME_ZONES),
        first_seen_at=min(facet.occurred_at for facet in held),
    )


def _known(values: Iterable[str], most: int) -> tuple[str, ...]:
    return tuple(sorted({value for value in values if value})[:most])
