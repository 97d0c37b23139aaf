"""What stewards decide: constraints on records, under which the partition is linked anew. Taking one back is exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from rapport.identity.v1 import events_pb2
from rapport_chassis.ids import new_id

from rapport_identity.app.look_up import current_ids
from rapport_identity.app.replica import bond_of
from rapport_identity.app.resolve import Partition, Session
from rapport_identity.app.stored import ConstraintKind, StoredConstraint
from rapport_identity.domain.errors import ERRORS
from rapport_identity.domain.records import RecordKey


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of a steward's decision.

    Attributes:
        constraint: The constraint.
        profiles: The profiles that hold the records it binds, with their versions, in order.
        epoch: The partition's life.
        position: What is known up to here knows of it.
    """

    constraint: StoredConstraint
    profiles: tuple[tuple[str, int], ...]
    epoch: str
    position: int


class Steward:
    """Records decisions and links anew what they bind.

    Args:
        partition: What is decided about.
    """

    def __init__(self, partition: Partition) -> None:
        self._partition = partition

    async def merge(self, profile_ids: Sequence[str], *, actor: str, reason: str, review_id: str = "") -> Decision:
        """Have profiles be one person, whatever the weights say, until the constraint is withdrawn.

        Raises:
            RapportError: PROFILE_NOT_FOUND, PROFILE_ERASED, SAME_PROFILE, CONSTRAINTS_CONTRADICT, NOT_READY.
        """
        async with self._partition.session() as session:
            current = sorted(set((await current_ids(session.unit, profile_ids)).values()))
            members = session.replica.members
            if any(each not in members for each in current):
                raise ERRORS.error("PROFILE_ERASED", "the profile was erased, for ever", field="profile_ids")
            if len(current) < 2:
                raise ERRORS.error("SAME_PROFILE", "the ids stand for one profile already", field="profile_ids")
            group = tuple(sorted(number for each in current for number in members[each]))
            constraint = self._made(session, ConstraintKind.MUST_MATCH, (group,), actor, reason, review_id)
            await self._bind(session, constraint)
        return self._decision(session, constraint)

    async def split(
        self, profile_id: str, leaving: Sequence[Sequence[RecordKey]], *, actor: str, reason: str
    ) -> Decision:
        """Have groups of records leave a profile, each for itself, until the constraint is withdrawn.

        Raises:
            RapportError: PROFILE_NOT_FOUND, RECORD_NOT_FOUND, RECORD_OF_OTHER_PROFILE, NOBODY_STAYS,
                CONSTRAINTS_CONTRADICT, NOT_READY.
        """
        async with self._partition.session() as session:
            (current,) = (await current_ids(session.unit, [profile_id])).values()
            held = session.replica.members.get(current, set())
            groups = [tuple(sorted({_number(session, key) for key in group})) for group in leaving]
            gone = {number for group in groups for number in group}
            if not gone <= held:
                raise ERRORS.error("RECORD_OF_OTHER_PROFILE", "a record belongs to another profile", field="leaving")
            if sum(map(len, groups)) != len(gone):
                raise ERRORS.error("SAME_RECORD", "a record cannot leave twice", field="leaving")
            if gone == held:
                raise ERRORS.error("NOBODY_STAYS", "a record must stay in the profile", field="leaving")
            apart = (tuple(sorted(held - gone)), *groups)
            constraint = self._made(session, ConstraintKind.NEVER_MATCH, apart, actor, reason)
            await self._bind(session, constraint)
        return self._decision(session, constraint)

    async def forbid(
        self, first: RecordKey, second: RecordKey, *, actor: str, reason: str, review_id: str = ""
    ) -> Decision:
        """Have two records never be one person, until the constraint is withdrawn.

        Raises:
            RapportError: RECORD_NOT_FOUND, SAME_RECORD, NOT_READY.
        """
        async with self._partition.session() as session:
            one, other = _number(session, first), _number(session, second)
            if one == other:
                raise ERRORS.error("SAME_RECORD", "a record cannot be kept apart from itself", field="second")
            groups = tuple((number,) for number in sorted((one, other)))
            constraint = self._made(session, ConstraintKind.NEVER_MATCH, groups, actor, reason, review_id)
            await self._bind(session, constraint)
        return self._decision(session, constraint)

    async def withdraw(self, constraint_id: str, *, actor: str) -> Decision:
        """Take a constraint back: the partition is then as if it had never been made.

        Raises:
            RapportError: CONSTRAINT_NOT_FOUND, NOT_READY.
        """
        async with self._partition.session() as session:
            constraint = await session.unit.constraint(constraint_id)
            if constraint is None or constraint.withdrawn_at is not None:
                raise ERRORS.error("CONSTRAINT_NOT_FOUND", "no such constraint is in force", field="constraint_id")
            session.trial.loosen(constraint_id)
            session.write.withdrawn = (constraint_id, actor)
            await session.finish(events_pb2.RESOLUTION_CAUSE_STEWARD)
        return self._decision(session, constraint)

    @staticmethod
    def _made(
        session: Session,
        kind: ConstraintKind,
        groups: tuple[tuple[int, ...], ...],
        actor: str,
        reason: str,
        review_id: str = "",
    ) -> StoredConstraint:
        return StoredConstraint(new_id("constraint"), kind, groups, session.head.recorded_at, actor, reason, review_id)

    @staticmethod
    async def _bind(session: Session, constraint: StoredConstraint) -> None:
        must = constraint.kind is ConstraintKind.MUST_MATCH
        session.trial.bind(constraint.constraint_id, bond_of(constraint))
        session.write.constraint = constraint
        await session.finish(events_pb2.RESOLUTION_CAUSE_STEWARD)
        assert session.decided is not None
        owners = dict(session.replica.owners)
        owners.update({step.number: step.to_id for step in session.decided.change.steps})
        people = [{owners[number] for number in group} for group in constraint.groups]
        if len(people[0]) > 1 if must else any(one & other for one, other in combinations(people, 2)):
            raise ERRORS.error("CONSTRAINTS_CONTRADICT", "an earlier constraint demands the opposite")

    @staticmethod
    def _decision(session: Session, constraint: StoredConstraint) -> Decision:
        replica = session.replica
        bound = {number for group in constraint.groups for number in group}
        holders = sorted({replica.owners[number] for number in bound if number in replica.owners})
        profiles = tuple((each, replica.versions[each]) for each in holders)
        return Decision(constraint, profiles, replica.epoch, replica.position)


def _number(session: Session, key: RecordKey) -> int:
    number = session.replica.index.number_of(key)
    if number is None:
        raise ERRORS.error("RECORD_NOT_FOUND", "there is no such record")
    return number
