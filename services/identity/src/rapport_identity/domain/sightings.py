"""Under what a touchpoint comes: the record that its identifiers lead to, or a sighting that says what is new of them.

A sighting is a record that holds nothing but identifiers which were seen together. What is seen with an identifier of a
sighting goes into that one, so that what one person uses does not look as if many shared it; only where there is none
is one made, under the strongest identifier (its *anchor*). Where records say the same already nothing is recorded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, NamedTuple, Protocol

from rapport_identity.domain.records import RecordKey

SOURCE: Final = "touchpoints"
"""The source that sightings are records of. It is never declared, so that nobody else writes any."""

MOST: Final = 50
"""Identifiers that a sighting holds at most, those seen last."""

COLUMNS: Final = ("accounts", "national_ids", "emails", "phones", "devices")
"""Columns of identifiers, the one that changes hands least first."""

NOBODY: Final = "devices"
"""The column of those that are a device's or browser's: they say who used it."""

Normal = tuple[str, str]
"""An identifier as it is compared: its column, and its normal form."""


class Sighted(NamedTuple):
    """An identifier that names somebody.

    Attributes:
        normal: As it is compared.
        kind: Its kind, by the contract's number.
        namespace: Who issued it.
        value: As the source has it.
    """

    normal: Normal
    kind: int
    namespace: str
    value: str

    @property
    def known(self) -> bool:
        """Whether it is a person's, not that of a device or browser."""
        return self.normal[0] != NOBODY


class Holder(NamedTuple):
    """A record that holds an identifier: its number, profile and key."""

    number: int
    profile_id: str
    key: RecordKey


class Records(Protocol):
    """What is known of identifiers."""

    def holders(self, normal: Normal) -> Sequence[Holder]:
        """Return the records that hold an identifier; none if too many share it for it to say who that is."""
        ...

    def number_of(self, key: RecordKey) -> int | None:
        """Return the number of a record by its key."""
        ...

    def held(self, number: int) -> tuple[str, Collection[Normal]]:
        """Return the profile of a record, and the identifiers it holds."""
        ...

    def is_known(self, profile_id: str) -> bool:
        """Whether a profile is somebody's, and not that of a device or browser alone."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a touchpoint belongs.

    Attributes:
        number: The record; None for a sighting that has news.
        key: The sighting that has news.
        profile_ids: The profiles that its identifiers lead to now; empty for somebody new.
        revises: The record that the sighting is already; None if it is a new one.
    """

    number: int | None
    key: RecordKey | None
    profile_ids: frozenset[str]
    revises: int | None = None


@dataclass(slots=True)
class News:
    """A sighting to be recorded: what was seen together, the last first, and the record that it revises."""

    key: RecordKey
    revises: int | None
    identifiers: dict[Normal, Sighted] = field(default_factory=dict)
    profile_ids: frozenset[str] = frozenset()
    brand_id: str = ""
    market: str = ""


def anchor(identifiers: Iterable[Sighted]) -> Sighted:
    """Return the strongest of identifiers: the one that changes hands least."""
    return min(identifiers, key=lambda each: (COLUMNS.index(each.normal[0]), each.normal[1]))


def key_of(normal: Normal) -> RecordKey:
    """Return the key of the sighting with this anchor."""
    return RecordKey(SOURCE, sha256("\0".join(normal).encode()).hexdigest())


class Sightings:
    """Finds where touchpoints of a batch belong, each knowing what the ones before it brought.

    Args:
        records: What was known before.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._news: dict[RecordKey, News] = {}
        self._bringing: dict[Normal, RecordKey] = {}

    @property
    def news(self) -> Mapping[RecordKey, News]:
        """The sightings that have news, by key."""
        return self._news

    def place(self, identifiers: Sequence[Sighted]) -> Place:
        """Return where a touchpoint with these identifiers belongs; it is not taken in by that."""
        normals = [each.normal for each in identifiers]
        first = anchor(identifiers).normal
        held = [self._records.holders(normal) for normal in normals]
        if (agreed := _agreed(held, normals.index(first))) is not None:
            return Place(agreed.number, None, frozenset({agreed.profile_id}))
        number, key = self._sighting(held[normals.index(first)], first)
        profile_ids = {holder.profile_id for holders in held for holder in holders}
        if number is not None:
            profile_id, recorded = self._records.held(number)
            profile_ids.add(profile_id)
            if set(recorded).issuperset(normals):
                return Place(number, None, frozenset({profile_id}))
        if (news := self._news.get(key)) is not None:
            profile_ids |= news.profile_ids
        return Place(None, key, frozenset(profile_ids), number)

    def links(self, identifiers: Sequence[Sighted], place: Place) -> Sequence[Sighted] | None:
        """Return to what a touchpoint is cut if its devices and cookies may not be linked to a person.

        None if it links none: it comes from persons' identifiers alone, or from devices of nobody in particular.
        """
        persons = [each for each in identifiers if each.known]
        if persons:
            return persons if len(persons) < len(identifiers) else None
        if len(identifiers) > 1 and any(map(self._records.is_known, place.profile_ids)):
            return [anchor(identifiers)]
        return None

    def _sighting(self, holders: Sequence[Holder], first: Normal) -> tuple[int | None, RecordKey]:
        """Return the sighting that holds an anchor, or is made under it."""
        sightings = [holder for holder in holders if holder.key.source == SOURCE]
        if sightings and len({holder.profile_id for holder in holders}) == 1:
            found = min(sightings)
            return found.number, found.key
        key = self._bringing.get(first)
        if key is not None:
            return self._news[key].revises, key
        key = key_of(first)
        return self._records.number_of(key), key

    def take(self, place: Place, identifiers: Sequence[Sighted], *, brand_id: str = "", market: str = "") -> None:
        """Have a touchpoint that is kept bring its news."""
        if place.key is None:
            return
        news = self._news.setdefault(place.key, News(place.key, place.revises))
        news.identifiers = {each.normal: each for each in identifiers} | news.identifiers
        news.profile_ids |= place.profile_ids
        news.brand_id, news.market = brand_id or news.brand_id, market or news.market
        for each in identifiers:
            self._bringing.setdefault(each.normal, place.key)


def _agreed(held: Sequence[Sequence[Holder]], first: int) -> Holder | None:
    """Return who holds the anchor in the one profile that holds all of them; None if there is none, or several."""
    common = set.intersection(*({holder.profile_id for holder in holders} for holders in held))
    if len(common) != 1:
        return None
    return min(holder for holder in held[first] if holder.profile_id in common)


def joined(news: Iterable[Sighted], before: Iterable[Sighted]) -> list[Sighted]:
    """Return the identifiers of a sighting: the news first, then those it held; of too many the last go."""
    found = {each.normal: each for each in news}
    for each in before:
        found.setdefault(each.normal, each)
    first = anchor(found.values())
    rest = [each for each in found.values() if each.normal != first.normal]
    return [first, *rest][:MOST]
