"""What a process knows of the partition by heart: the index, who is whose, and up to which position."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from rapport_identity.app.stored import ConstraintKind, IndexedRecord, MoveKind, ProfileStatus, StoredConstraint
from rapport_identity.app.units import Loader, News, Position, Unit, Units
from rapport_identity.domain.bonds import Bond, Bonds
from rapport_identity.domain.facets import Facet
from rapport_identity.domain.folding import Values
from rapport_identity.domain.index import Index
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.records import Record


@dataclass(slots=True)
class Replica:
    """The partition as of a position.

    Attributes:
        index: The records.
        bonds: The constraints in force.
        matcher_id: The matcher that weighs.
        epoch: The partition's life it was read in; empty before it was read at all.
        position: What is known up to and with.
        owners: The profile of each record.
        members: The records of each profile.
        versions: The version of each profile that its own id stands for.
        facets: What others may know of each record.
        frozen: Profiles that a privacy request holds still.
        erased: Whether anybody was ever erased: then something must be kept from coming back.
    """

    index: Index
    matcher_id: str
    bonds: Bonds = field(default_factory=Bonds)
    epoch: str = ""
    position: int = 0
    owners: dict[int, str] = field(default_factory=dict)
    members: dict[str, set[int]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    facets: dict[int, Facet] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)
    erased: bool = False

    @classmethod
    async def load(cls, matcher: Matcher, matcher_id: str, units: Units, loader: Loader) -> Replica:
        """Read everything, and then what was written meanwhile.

        Args:
            matcher: The one that ships, which decides until one is stored.
            matcher_id: Its id.
            units: Opens transactions.
            loader: Reads all records.

        Raises:
            RapportError: NOT_READY.
        """
        replica = cls(Index(matcher), matcher_id)
        async with units.unit() as unit:
            at = await unit.read()
            replica.epoch, replica.position = at.epoch, at.position
            await replica._weigh_by(unit, at)
            for constraint in await unit.constraints():
                replica._bind(constraint)
            replica.versions = await unit.versions()
            frozen, replica.erased = await unit.apart()
            replica.frozen = set(frozen)
        async for chunk in loader.everything():
            for held in chunk:
                replica._put(held)
        for _ in replica.index.settling():
            await asyncio.sleep(0)  # who asks for health is answered
        async with units.unit() as unit:
            await replica.catch_up(unit, await unit.read())
        return replica

    async def catch_up(self, unit: Unit, at: Position) -> bool:
        """Follow what others wrote; False if the partition began another life and must be read anew."""
        if at.epoch != self.epoch:
            return False
        if at.position > self.position:
            await self._weigh_by(unit, at)
            self.follow(await unit.news(self.position, at.position))
            self.position = at.position
        return True

    def follow(self, news: News) -> None:
        """Take in what others wrote, in which everything is linked already."""
        for held in news.records:
            self._put(held)
        for recorded in news.moves:
            move = recorded.move
            if move.kind is MoveKind.RECORD and move.record_no is not None:
                self.assign(move.record_no, move.to_profile)
        for constraint in news.constraints:
            self._bind(constraint)
        for profile in news.profiles:
            if profile.status in (ProfileStatus.MERGED, ProfileStatus.ERASED):
                self.versions.pop(profile.profile_id, None)
            else:
                self.versions[profile.profile_id] = profile.version
            if profile.status is ProfileStatus.FROZEN:
                self.frozen.add(profile.profile_id)
            else:
                self.frozen.discard(profile.profile_id)
            self.erased |= profile.status is ProfileStatus.ERASED
        self.index.take_touched()

    async def _weigh_by(self, unit: Unit, at: Position) -> None:
        """Have the matcher weigh that decides at a position; nothing is linked anew by that."""
        if at.matcher_id not in ("", self.matcher_id):
            self.index.use(await unit.matcher(at.matcher_id))
            self.matcher_id = at.matcher_id

    def assign(self, number: int, profile_id: str) -> None:
        """Have a record belong to a profile; to none if the id is empty."""
        left = self.owners.pop(number, "")
        if left:
            self.members[left].discard(number)
            if not self.members[left]:
                del self.members[left]
        if profile_id and number in self.index:
            self.owners[number] = profile_id
            self.members.setdefault(profile_id, set()).add(number)

    def _put(self, held: IndexedRecord) -> None:
        if held.content is None:
            self.index.remove(held.record_no)
            self.facets.pop(held.record_no, None)
            self.assign(held.record_no, "")
            return
        key, values, self.facets[held.record_no] = held.content
        self.index.put_folded(held.record_no, key, values)
        self.assign(held.record_no, held.profile_id)

    def _bind(self, constraint: StoredConstraint) -> None:
        if constraint.withdrawn_at is None:
            self.bonds.put(constraint.constraint_id, bond_of(constraint))
        else:
            self.bonds.drop(constraint.constraint_id)


def bond_of(constraint: StoredConstraint) -> Bond:
    """Return a constraint as linking sees it."""
    return Bond(constraint.kind is ConstraintKind.MUST_MATCH, constraint.groups)


@dataclass(slots=True)
class Trial:
    """Changes to a replica that are taken back unless they are committed."""

    replica: Replica
    _undo: list[Callable[[], object]] = field(default_factory=list)

    def put(self, number: int, record: Record, values: Values) -> None:
        """Have a record in the index, by all that is folded of it where that is done."""
        index = self.replica.index
        if number in index:
            entry = index[number]
            self._undo.append(partial(index.put_folded, number, entry.key, entry.values))
        else:
            self._undo.append(partial(index.remove, number))
        if values:
            index.put_folded(number, record.key, values)
        else:
            index.put(number, record)

    def bind(self, constraint_id: str, bond: Bond) -> None:
        """Have a constraint in force."""
        self._undo.append(lambda: self.replica.bonds.drop(constraint_id))
        self.replica.bonds.put(constraint_id, bond)
        self.replica.index.touch(bond.numbers)

    def loosen(self, constraint_id: str) -> None:
        """Have a constraint in force no more."""
        bond = self.replica.bonds.drop(constraint_id)
        if bond is not None:
            self._undo.append(lambda: self.replica.bonds.put(constraint_id, bond))
            self.replica.index.touch(bond.numbers)

    def take_back(self) -> None:
        """Leave the replica as it was."""
        for undo in reversed(self._undo):
            undo()
        self.replica.index.take_touched()


def members_of(replica: Replica, numbers: Iterable[int]) -> set[int]:
    """Return all records of the profiles that hold these."""
    owners = {replica.owners[number] for number in numbers if number in replica.owners}
    return {number for owner in owners for number in replica.members[owner]}
