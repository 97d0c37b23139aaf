"""Use cases: why two records do or do not match, and how a profile came together. Nothing here writes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from rapport_identity.app.matchers import Matchers, get_matcher
from rapport_identity.app.partition import Partition, Session
from rapport_identity.app.profiles import get_profile
from rapport_identity.app.replica import Replica
from rapport_identity.app.units import Unit
from rapport_identity.domain.entries import Entry
from rapport_identity.domain.errors import ERRORS
from rapport_identity.domain.explaining import KeptApart, MatchExplanation, explain_by, explain_match, kept_apart
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.records import RecordKey
from rapport_identity.domain.tree import Tree, grow


class Origin(NamedTuple):
    """The id that a record's profile had when the record came, and when that was."""

    recorded_under: str
    recorded_at: datetime


class Origins(Protocol):
    """Knows how records came."""

    async def origins(self, unit: Unit, numbers: Collection[int]) -> Mapping[int, Origin]:
        """Return how each of these records came."""
        ...


@dataclass(frozen=True, slots=True)
class ExplainedMatch:
    """Why two records do or do not match, and the matcher that weighed them."""

    matcher_id: str
    matcher: Matcher
    explanation: MatchExplanation


@dataclass(frozen=True, slots=True)
class ExplainedProfile:
    """How a profile came together.

    Attributes:
        profile_id: The profile.
        matcher_id: The matcher that joined it.
        tree: Its records, by key, and the joins.
        origins: How the records came, in the order of the leaves.
        kept_apart: The nearest records that were kept out, each with its profile.
    """

    profile_id: str
    matcher_id: str
    tree: Tree
    origins: tuple[Origin, ...]
    kept_apart: tuple[tuple[KeptApart, str], ...]


class Explain:
    """Explains what the partition of this process holds.

    Args:
        partition: What is explained.
        matchers: Knows other matchers than the one that decides.
        origins: Knows how records came.
    """

    def __init__(self, partition: Partition, matchers: Matchers, origins: Origins) -> None:
        self._partition = partition
        self._matchers = matchers
        self._origins = origins

    async def match(self, first: RecordKey, second: RecordKey, matcher_id: str = "") -> ExplainedMatch:
        """Return why two records do or do not match.

        By another matcher than the one that decides, the two are weighed for themselves: who else would be with them
        is said by a preview.

        Raises:
            RapportError: RECORD_NOT_FOUND, SAME_RECORD, MATCHER_NOT_FOUND, NOT_READY.
        """
        await self._partition.refresh()
        other = await self._other(matcher_id)
        async with self._partition.still() as replica:
            one, another = _entry(replica, first, "first"), _entry(replica, second, "second")
            if one is another:
                raise ERRORS.error("SAME_RECORD", "a record is the person that it is", field="second")
            index, bonds = replica.index, replica.bonds
            if other is None:
                found = explain_match(index, bonds, one, another)
                return ExplainedMatch(replica.matcher_id, index.matcher, found)
            return ExplainedMatch(matcher_id, other, explain_by(other, index, bonds, one, another))

    @staticmethod
    def decided(session: Session, first: int, second: int) -> ExplainedMatch:
        """Return why two records do or do not match, with what a session has decided."""
        replica = session.replica
        index = replica.index
        found = explain_match(index, replica.bonds, index[first], index[second])
        return ExplainedMatch(replica.matcher_id, index.matcher, found)

    async def reviewed(self, first: int, second: int) -> tuple[ExplainedMatch, tuple[Entry, Entry]] | None:
        """Return why two records of a review do or do not match, and them; None if one was erased."""
        async with self._partition.still() as replica:
            index = replica.index
            if first not in index or second not in index:
                return None
            one, other = index[first], index[second]
            found = explain_match(index, replica.bonds, one, other)
            return ExplainedMatch(replica.matcher_id, index.matcher, found), (one, other)

    async def profile(self, issued_id: str, at: datetime | None = None) -> ExplainedProfile:
        """Return how a profile came together: now, or the one of a time under the matcher of that time.

        Earlier versions of records are not kept, so records of then are weighed by what they say now.

        Raises:
            RapportError: PROFILE_NOT_FOUND, PROFILE_ERASED, NOT_READY.
        """
        await self._partition.refresh()
        held = await get_profile(self._partition, issued_id, at)
        async with self._partition.units.unit() as unit:
            decided = await self._matchers.decided_at(unit, at) if at is not None else ""
            origins = await self._origins.origins(unit, held.numbers)
        matcher = await self._other(decided)
        async with self._partition.still() as replica:
            index, bonds = replica.index, replica.bonds
            entries = [index[number] for number in held.numbers if number in index]
            if not entries:
                raise ERRORS.error("PROFILE_ERASED", "no record of the profile is held", field="profile_id")
            tree = grow(index, bonds, entries, matcher)
            numbers = {entry.key: entry.number for entry in entries}
            kept = kept_apart(index, bonds, entries) if at is None else []
            return ExplainedProfile(
                held.profile.profile_id,
                decided if matcher is not None else replica.matcher_id,
                tree,
                tuple(origins[numbers[key]] for key in tree.leaves),
                tuple((each, replica.owners.get(each.outside.number, "")) for each in kept),
            )

    async def _other(self, matcher_id: str) -> Matcher | None:
        """Return a matcher; None if it is the one that decides."""
        if matcher_id in ("", self._partition.matcher_id):
            return None
        async with self._partition.units.unit() as unit:
            return (await get_matcher(self._matchers, unit, matcher_id)).matcher


def _entry(replica: Replica, key: RecordKey, field: str) -> Entry:
    number = replica.index.number_of(key)
    if number is None:
        raise ERRORS.error("RECORD_NOT_FOUND", "there is no such record", field=field)
    return replica.index[number]
