"""Says that a person's day has come, once for each round, and never which day that is.

It looks at everybody again and again, a few records at a time, by what the replica knows by heart. Whose day has come
is told under the lock of the partition, so that nobody is merged, split or told of by another process meanwhile. Who
was told of is remembered record by record: whatever profile a record is in later, its round does not come again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from typing import Final, NamedTuple, Protocol

from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.failpoints import failpoint
from rapport_privacy.permits import Permits
from rapport_privacy.vocabulary import Answer

from rapport_identity.app.collecting import ask
from rapport_identity.app.partition import Partition
from rapport_identity.app.replica import Replica
from rapport_identity.app.stored import ProfileStatus
from rapport_identity.app.units import Unit
from rapport_identity.domain.anniversaries import Anniversary, agreed, come_round, days, window
from rapport_identity.domain.facets import ProfileState, state_of

EXPIRES: Final = timedelta(days=1)
"""Who was told of a day should act within this. Counted from the telling, so that it does not say which day it was."""

_RECORDS: Final = 2_000
_PROFILES: Final = 64
_WAIT_S: Final = 30.0
"""After a look at which the gate did not know enough, the next one comes this soon."""


class Coming(NamedTuple):
    """A round that has come for a profile.

    Attributes:
        profile_id: The profile.
        kind: What came round.
        round: In which year.
        numbers: The records of the profile, in order.
    """

    profile_id: str
    kind: Anniversary
    round: int
    numbers: tuple[int, ...]


class Rounds(Protocol):
    """Which rounds were told of, in the transaction of a unit."""

    async def looked_until(self, unit: Unit) -> datetime:
        """Return up to when somebody has looked at everybody."""
        ...

    async def looked(self, unit: Unit, until: datetime) -> None:
        """Note that everybody was looked at."""
        ...

    async def told(self, unit: Unit, numbers: Collection[int]) -> Mapping[tuple[int, Anniversary], int]:
        """Return the last round that each of these records was told of in."""
        ...

    async def tell(self, unit: Unit, comings: Sequence[Coming], recorded_at: datetime, expires_at: datetime) -> None:
        """Tell of rounds, and remember it."""
        ...


Zones = Callable[[Sequence[str], Sequence[str]], Sequence[tzinfo]]
"""Says where somebody may be, from names of time zones and, if there are none, from markets."""


@dataclass(slots=True)
class _Look:
    """One look at everybody.

    Attributes:
        since: Rounds count that began after it.
        until: And up to it.
        numbers: The records that are still to be looked at.
        waits: Whether the gate did not know enough about somebody.
    """

    since: datetime
    until: datetime
    numbers: Iterator[int]
    waits: bool = False
    days: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.days = days(self.since, self.until)


class TellAnniversaries:
    """Tells of birthdays and customers' anniversaries.

    Args:
        partition: Who is who.
        rounds: What was told.
        gate: What is permitted.
        purpose_id: The purpose that congratulating is.
        zones: Where people may be.
        clock: The time.
        every_s: How often everybody is looked at.
        on_told: Is told how many were told of.
    """

    def __init__(
        self,
        partition: Partition,
        rounds: Rounds,
        gate: Permits,
        *,
        purpose_id: str,
        zones: Zones,
        clock: Clock,
        every_s: float,
        on_told: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._partition = partition
        self._rounds = rounds
        self._gate = gate
        self._purpose_id = purpose_id
        self._zones = zones
        self._clock = clock
        self._every_s = every_s
        self._on_told = on_told
        self._look: _Look | None = None
        self._next = clock.boottime()

    async def step(self) -> bool:
        """Look at some records, and return whether there is more to do now.

        Raises:
            RapportError: NOT_READY. The look is begun anew by the next step.
        """
        if self._look is None and self._clock.boottime() < self._next:
            return False
        look, self._look = self._look or await self._begin(), None
        numbers = list(islice(look.numbers, _RECORDS))
        if numbers:
            await self._at(look, numbers)
            self._look = look
            return True
        if not look.waits:
            async with self._partition.units.unit() as unit:
                await self._rounds.looked(unit, look.until)
        self._next = self._clock.boottime() + (min(self._every_s, _WAIT_S) if look.waits else self._every_s)
        return False

    async def _begin(self) -> _Look:
        replica, now = self._partition.replica, self._clock.now()
        async with self._partition.units.unit() as unit:
            looked_until = await self._rounds.looked_until(unit)
        return _Look(window(looked_until, now), now, iter(list(replica.owners)))

    async def _at(self, look: _Look, numbers: Sequence[int]) -> None:
        profile_ids = sorted(set(_candidates(self._partition.replica, numbers, look.days)))
        for start in range(0, len(profile_ids), _PROFILES):
            async with self._partition.units.unit() as unit:  # keeps nobody out, and most of them were told of before
                due = await self._due(unit, self._partition.replica, profile_ids[start : start + _PROFILES], look)
            if due:
                await self._tell(look, sorted({each.profile_id for each in due}))

    async def _tell(self, look: _Look, profile_ids: Sequence[str]) -> None:
        async with self._partition.session() as session:
            due = await self._due(session.unit, session.replica, profile_ids, look)
            if due:
                at = session.head.recorded_at
                await self._rounds.tell(session.unit, due, at, at + EXPIRES)
                failpoint("anniversaries.written")
        failpoint("anniversaries.told")
        self._on_told(len(due))

    async def _due(self, unit: Unit, replica: Replica, profile_ids: Sequence[str], look: _Look) -> list[Coming]:
        """Return the rounds of profiles that have come, were not told of, and are permitted to be told of now."""
        comings = [each for profile_id in profile_ids for each in self._comings(replica, profile_id, look)]
        told = await self._rounds.told(unit, [number for each in comings for number in each.numbers])
        untold = [
            each for each in comings if all(told.get((number, each.kind), 0) < each.round for number in each.numbers)
        ]
        if not untold:
            return []
        redirects, stored = await unit.standing([each.profile_id for each in untold])
        return [
            each
            for each in untold
            if (profile := stored.get(each.profile_id)) is not None
            and profile.status is ProfileStatus.ACTIVE
            and self._permits(look, (each.profile_id, *redirects.get(each.profile_id, ())), profile.state)
        ]

    def _comings(self, replica: Replica, profile_id: str, look: _Look) -> Iterator[Coming]:
        numbers = tuple(sorted(number for number in replica.members.get(profile_id, ()) if number in replica.index))
        if not numbers:
            return
        state = state_of([(number, replica.facets[number]) for number in numbers])
        if state.anonymous:
            return
        zones = self._zones(state.time_zones, state.markets)
        origins = {
            Anniversary.BIRTHDAY: agreed(_birth_date(replica, number) for number in numbers),
            Anniversary.CUSTOMER: state.first_seen_at.astimezone(UTC).date(),
        }
        for kind, origin in origins.items():
            if origin is not None and (year := come_round(origin, zones, look.since, look.until)) is not None:
                yield Coming(profile_id, kind, year, numbers)

    def _permits(self, look: _Look, ids: Sequence[str], state: ProfileState) -> bool:
        """Return whether some brand may congratulate, wherever the person may be; without a no of any of their ids."""
        for brand_id in state.brand_ids or ("",):
            answers = []
            for market in state.markets or ("",):
                try:
                    found = ask(self._gate, ids, self._purpose_id, brand_id=brand_id, market=market, data_category="")
                except RapportError:  # it is a purpose of brands, and the person has dealt with none
                    return False
                answers.append(found)
            if all(each.permitted for each in answers):
                return True
            look.waits = look.waits or any(each.answer == Answer.DENY_STALE for each in answers)
        return False


def _candidates(replica: Replica, numbers: Sequence[int], wanted: frozenset[str]) -> Iterator[str]:
    """Yield the profiles of records of which a date may have come round."""
    for number in numbers:
        owner = replica.owners.get(number)
        if owner is None or number not in replica.index:
            continue
        seen, born = replica.facets[number].occurred_at.astimezone(UTC), _birth_date(replica, number)
        if f"{seen.month:02}-{seen.day:02}" in wanted or (born is not None and born[-5:] in wanted):
            yield owner


def _birth_date(replica: Replica, number: int) -> str | None:
    found = replica.index[number].columns["dob"]
    return found if isinstance(found, str) else None
