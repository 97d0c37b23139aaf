"""What stewards decide: constraints on records, under which the partition is linked anew. Taking one back is exact."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from rapport_chassis.ids import new_id

from rapport_identity.app.partition import FROZEN_S, Session, Token, current_ids
from rapport_identity.app.profiles import Held
from rapport_identity.app.replica import bond_of
from rapport_identity.app.stored import ConstraintKind, StoredConstraint
from rapport_identity.domain.errors import ERRORS
from rapport_identity.domain.records import RecordKey
from rapport_identity.domain.told import Cause


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of a steward's decision.

    Attributes:
        constraint: The constraint.
        profiles: The profiles that hold the records it binds, by id.
        token: What is known up to here knows of it.
    """

    constraint: StoredConstraint
    profiles: tuple[Held, ...]
    token: Token


async def merge(
    session: Session, profile_ids: Sequence[str], *, actor: str, reason: str, review_id: str = ""
) -> Decision:
    """Have profiles be one person, whatever the weights say, until the constraint is withdrawn.

    Raises:
        RapportError: PROFILE_NOT_FOUND, PROFILE_ERASED, SAME_PROFILE, CONSTRAINTS_CONTRADICT, NOT_READY.
    """
    current = sorted(set((await current_ids(session.unit, profile_ids)).values()))
    members = session.replica.members
    if any(each not in members for each in current):
        raise ERRORS.error("PROFILE_ERASED", "the profile was erased, for ever", field="profile_ids")
    if len(current) < 2:
        raise ERRORS.error("SAME_PROFILE", "the ids stand for one profile already", field="profile_ids")
    group = tuple(sorted(number for each in current for number in members[each]))
    return await bind(session, _made(session, ConstraintKind.MUST_MATCH, (group,), actor, reason, review_id))


async def split(
    session: Session, profile_id: str, leaving: Sequence[Sequence[RecordKey]], *, actor: str, reason: str
) -> Decision:
    """Have groups of records leave a profile, each for itself, until the constraint is withdrawn.

    Raises:
        RapportError: PROFILE_NOT_FOUND, RECORD_NOT_FOUND, RECORD_OF_OTHER_PROFILE, SAME_RECORD, NOBODY_STAYS,
            CONSTRAINTS_CONTRADICT, NOT_READY.
    """
    (current,) = (await current_ids(session.unit, [profile_id])).values()
    held = session.replica.members.get(current, set())
    groups = [tuple(sorted({number_of(session, key, "leaving") for key in group})) for group in leaving]
    gone = {number for group in groups for number in group}
    if not gone <= held:
        raise ERRORS.error("RECORD_OF_OTHER_PROFILE", "a record belongs to another profile", field="leaving")
    if sum(map(len, groups)) != len(gone):
        raise ERRORS.error("SAME_RECORD", "a record cannot leave twice", field="leaving")
    if gone == held:
        raise ERRORS.error("NOBODY_STAYS", "a record must stay in the profile", field="leaving")
    apart = (tuple(sorted(held - gone)), *groups)
    return await bind(session, _made(session, ConstraintKind.NEVER_MATCH, apart, actor, reason))


async def forbid(
    session: Session, first: RecordKey, second: RecordKey, *, actor: str, reason: str, review_id: str = ""
) -> Decision:
    """Have two records never be one person, until the constraint is withdrawn.

    Raises:
        RapportError: RECORD_NOT_FOUND, SAME_RECORD, CONSTRAINTS_CONTRADICT, NOT_READY.
    """
    one, other = number_of(session, first, "first"), number_of(session, second, "second")
    if one == other:
        raise ERRORS.error("SAME_RECORD", "a record cannot be kept apart from itself", field="second")
    groups = tuple((number,) for number in sorted((one, other)))
    return await bind(session, _made(session, ConstraintKind.NEVER_MATCH, groups, actor, reason, review_id))


async def withdraw(session: Session, constraint_id: str, *, actor: str) -> Decision:
    """Take a constraint back: the partition is then as if it had never been made.

    Raises:
        RapportError: CONSTRAINT_NOT_FOUND, NOT_READY.
    """
    constraint = await session.unit.constraint(constraint_id)
    if constraint is None or constraint.withdrawn_at is not None:
        raise ERRORS.error("CONSTRAINT_NOT_FOUND", "no such constraint is in force", field="constraint_id")
    _thawed(session, (number for group in constraint.groups for number in group))
    session.trial.loosen(constraint_id)
    session.write.withdrawn = (constraint_id, actor)
    await session.finish(Cause.STEWARD)
    return await _decision(session, replace(constraint, withdrawn_at=session.head.recorded_at, withdrawn_by=actor))


async def bind(session: Session, constraint: StoredConstraint) -> Decision:
    """Have a constraint be in force.

    Raises:
        RapportError: CONSTRAINTS_CONTRADICT: the session must not be committed. PROFILE_FROZEN, NOT_READY.
    """
    _thawed(session, (number for group in constraint.groups for number in group))
    session.trial.bind(constraint.constraint_id, bond_of(constraint))
    session.write.constraint = constraint
    await session.finish(Cause.STEWARD)
    people = [{session.owner(number) for number in group} for group in constraint.groups]
    must = constraint.kind is ConstraintKind.MUST_MATCH
    if len(people[0]) > 1 if must else any(one & other for one, other in combinations(people, 2)):
        raise ERRORS.error("CONSTRAINTS_CONTRADICT", "an earlier constraint demands the opposite")
    return await _decision(session, constraint)


def number_of(session: Session, key: RecordKey, field: str) -> int:
    """Return the number of a record by what its source calls it.

    Raises:
        RapportError: RECORD_NOT_FOUND, because of this field.
    """
    number = session.replica.index.number_of(key)
    if number is None:
        raise ERRORS.error("RECORD_NOT_FOUND", "there is no such record", field=field)
    return number


def _thawed(session: Session, numbers: Iterable[int]) -> None:
    """Return if no privacy request holds the profiles of these records still.

    Raises:
        RapportError: PROFILE_FROZEN.
    """
    if session.replica.frozen and any(session.replica.owners.get(each) in session.replica.frozen for each in numbers):
        raise ERRORS.error("PROFILE_FROZEN", "a privacy request holds the profile still", retry_after_s=FROZEN_S)


def _made(
    session: Session,
    kind: ConstraintKind,
    groups: tuple[tuple[int, ...], ...],
    actor: str,
    reason: str,
    review_id: str = "",
) -> StoredConstraint:
    return StoredConstraint(new_id("constraint"), kind, groups, session.head.recorded_at, actor, reason, review_id)


async def _decision(session: Session, constraint: StoredConstraint) -> Decision:
    index, unit = session.replica.index, session.unit
    bound = {number for group in constraint.groups for number in group if number in index}
    holders = sorted({session.owner(number) for number in bound})
    profiles, times, redirecting = (
        await unit.profiles(holders),
        await unit.times(holders),
        await unit.redirecting(holders),
    )
    results = (
        Held(profiles[each], tuple(redirecting[each]), session.members(each), times[each], session.matcher_id)
        for each in holders
    )
    return Decision(constraint, tuple(results), session.token)
