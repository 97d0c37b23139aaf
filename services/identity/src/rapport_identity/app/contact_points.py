"""How a person may be reached for a purpose: read in clear, handed out as far as the gate permits at that instant."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from rapport_privacy.decision import Decision
from rapport_privacy.permits import Permits, Position
from rapport_privacy.vocabulary import Basis

from rapport_identity.app.partition import Partition, current_ids
from rapport_identity.app.replica import Replica
from rapport_identity.app.stored import HeldRecord
from rapport_identity.domain.contact_points import ContactRecord, Ground, covered
from rapport_identity.domain.errors import ERRORS
from rapport_identity.domain.sharing import LIMITS


class HeldPoint(NamedTuple):
    """A contact point as one record holds it. Names somebody: for use at once, in memory.

    Attributes:
        number: The record.
        same_as: Equal for contact points that are the same.
        occurred_at: When the source wrote the record.
        body: As it is answered, serialised.
    """

    number: int
    same_as: str
    occurred_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """What contact points are wanted for.

    Attributes:
        profile_id: Any id ever issued for the person.
        purpose_id: The purpose.
        brand_id: The brand; needed for a purpose with brands.
        market: Where the effect happens; empty for the rule of all markets.
        at_least: The gate must know the ledger at least up to here.
    """

    profile_id: str
    purpose_id: str
    brand_id: str = ""
    market: str = ""
    at_least: Position | None = None


@dataclass(frozen=True, slots=True)
class Usable:
    """A contact point that may be used.

    Attributes:
        contact_point_id: Its id.
        recorded_under: The id its profile had when it was first recorded, of those that are covered.
        occurred_at: When it was last seen in a source.
        body: As it is answered, serialised.
    """

    contact_point_id: str
    recorded_under: str
    occurred_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class Reach:
    """How a person may be reached.

    Attributes:
        profile_id: The id that stands for the person now.
        decision: The gate's answer.
        points: What may be used, the one seen last first.
        withheld: How many contact points are held that may not.
    """

    profile_id: str
    decision: Decision
    points: tuple[Usable, ...]
    withheld: int


class Names(Protocol):
    """Gives contact points their ids."""

    async def of(self, values: Collection[str]) -> Mapping[str, str]:
        """Return the id of each, by what it is the same as.

        Raises:
            RapportError: NOT_READY.
        """
        ...


@dataclass(frozen=True, slots=True)
class GetContactPoints:
    """Says how a person may be reached.

    Attributes:
        partition: Who is who.
        gate: What is permitted.
        names: Ids of contact points.
    """

    partition: Partition
    gate: Permits
    names: Names

    async def __call__(self, asked: Asked, read: Callable[[HeldRecord], Sequence[HeldPoint]]) -> Reach:
        """Return what may be used.

        The gate is asked last, when everything has been read: for the profile, and for each id that a record was
        recorded under, since the ledger may not have followed a merge yet.

        Args:
            asked: For whom and for what.
            read: Reads the contact points that are wanted out of a record.

        Raises:
            RapportError: PROFILE_NOT_FOUND, PROFILE_ERASED, BRAND_REQUIRED, NOT_READY.
        """
        await self.partition.refresh()
        async with self.partition.units.unit() as unit:
            profile_id = (await current_ids(unit, [asked.profile_id]))[asked.profile_id]
            records = await unit.held(self.partition.replica.members.get(profile_id, ()))
        if not records:
            raise ERRORS.error("PROFILE_ERASED", "the person was erased, for ever", field="profile_id")
        held: dict[str, list[HeldPoint]] = {}
        for point in (point for record in records if record.payload is not None for point in read(record)):
            held.setdefault(point.same_as, []).append(point)
        names = await self.names.of(held)
        decision = self._check(profile_id, asked)
        usable: set[int] = set()
        if decision.permitted:
            ids = {each.recorded_under for each in records}
            grounds = {each: _ground(self._check(each, asked)) for each in ids}
            usable = covered(_contact_records(self.partition.replica, records), grounds)
        under = {each.record_no: each.recorded_under for each in records}
        found = [
            _usable(names[value], mine, under)
            for value, points in held.items()
            if (mine := [each for each in points if each.number in usable])
        ]
        found.sort(key=lambda each: (each.occurred_at, each.contact_point_id), reverse=True)
        return Reach(profile_id, decision, tuple(found), len(held) - len(found))

    def _check(self, profile_id: str, asked: Asked) -> Decision:
        return self.gate.check(
            profile_id, asked.purpose_id, brand_id=asked.brand_id, market=asked.market, at_least=asked.at_least
        )


def _usable(contact_point_id: str, held: Sequence[HeldPoint], under: Mapping[int, str]) -> Usable:
    last = max(held, key=lambda each: (each.occurred_at, each.number))
    first = min(held, key=lambda each: each.number)
    return Usable(contact_point_id, under[first.number], last.occurred_at, last.body)


def _ground(decision: Decision) -> Ground:
    if not decision.permitted or decision.basis != Basis.CONSENT:
        return Ground(decision.permitted)
    state = decision.state
    if state is None or state.decided_at is None:
        return Ground(permitted=False)
    return Ground(permitted=True, decided_at=state.decided_at, granting_ids=frozenset(state.granting_ids))


def _contact_records(replica: Replica, records: Iterable[HeldRecord]) -> list[ContactRecord]:
    index = replica.index
    found = []
    for record in records:
        columns = index.visible(index[record.record_no]) if record.record_no in index else {}
        own = frozenset((column, value) for column in LIMITS for value in columns.get(column) or ())
        found.append(ContactRecord(record.record_no, record.recorded_under, record.recorded_at, own))
    return found
