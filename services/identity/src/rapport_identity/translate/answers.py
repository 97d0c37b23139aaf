"""What callers are answered about records, profiles and decisions, as messages of the contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rapport.identity.v1 import explanation_pb2, identity_pb2, profile_pb2, record_pb2, steward_pb2
from rapport_chassis.times import stamp

from rapport_identity.app.look_up import Candidate, Found, LookUp, Searched
from rapport_identity.app.partition import Token
from rapport_identity.app.profiles import Held
from rapport_identity.app.relations import Relation, RelationKind
from rapport_identity.app.resolve import Outcome, Resolved
from rapport_identity.app.steward import Decision
from rapport_identity.app.stored import ConstraintKind, HeldRecord, ProfileStatus, StoredConstraint
from rapport_identity.domain.records import RecordKey
from rapport_identity.translate.events import state_message

KeyOf = Callable[[int], RecordKey | None]
"""What a record is called in its source, by its number; None if it was erased."""

_OUTCOMES: Final = {
    Outcome.CREATED: identity_pb2.RECORD_OUTCOME_CREATED,
    Outcome.JOINED: identity_pb2.RECORD_OUTCOME_JOINED,
    Outcome.UPDATED: identity_pb2.RECORD_OUTCOME_UPDATED,
    Outcome.UNCHANGED: identity_pb2.RECORD_OUTCOME_UNCHANGED,
}
_LOOK_UPS: Final = {
    LookUp.FOUND: identity_pb2.LOOKUP_OUTCOME_FOUND,
    LookUp.NOT_FOUND: identity_pb2.LOOKUP_OUTCOME_NOT_FOUND,
    LookUp.SHARED: identity_pb2.LOOKUP_OUTCOME_SHARED,
}
_STATUSES: Final = {
    ProfileStatus.ACTIVE: profile_pb2.PROFILE_STATUS_ACTIVE,
    ProfileStatus.FROZEN: profile_pb2.PROFILE_STATUS_FROZEN,
    ProfileStatus.MERGED: profile_pb2.PROFILE_STATUS_ACTIVE,  # as of a time at which its id stood for itself
}
_RELATIONS: Final = {
    RelationKind.HOUSEHOLD: profile_pb2.RELATION_KIND_HOUSEHOLD,
    RelationKind.SHARED_CONTACT: profile_pb2.RELATION_KIND_SHARED_CONTACT,
    RelationKind.SHARED_DEVICE: profile_pb2.RELATION_KIND_SHARED_DEVICE,
}
RELATION_KINDS: Final = {number: kind for kind, number in _RELATIONS.items()}
"""Kinds of relations by the contract's numbers."""

_CONSTRAINTS: Final = {
    ConstraintKind.MUST_MATCH: steward_pb2.CONSTRAINT_KIND_MUST_MATCH,
    ConstraintKind.NEVER_MATCH: steward_pb2.CONSTRAINT_KIND_NEVER_MATCH,
}


def token_of(message: profile_pb2.PartitionPosition) -> Token:
    """Return the freshness token that a message is."""
    return Token(message.epoch, message.position)


def position_message(token: Token) -> profile_pb2.PartitionPosition:
    """Return a freshness token as a message."""
    return profile_pb2.PartitionPosition(epoch=token.epoch, position=token.position)


def key_message(key: RecordKey) -> record_pb2.RecordKey:
    """Return what a record is called as a message."""
    return record_pb2.RecordKey(source=key.source, source_record_id=key.source_record_id)


def key_of(message: record_pb2.RecordKey) -> RecordKey:
    """Return what a record is called."""
    return RecordKey(message.source, message.source_record_id)


def resolved_message(resolved: Resolved) -> identity_pb2.ResolvedRecord:
    """Return who a record is as a message."""
    return identity_pb2.ResolvedRecord(
        profile_id=resolved.profile_id,
        profile_version=resolved.version,
        outcome=_OUTCOMES[resolved.outcome],
        absorbed_ids=resolved.absorbed_ids,
        matcher_id=resolved.matcher_id,
        token=position_message(resolved.token),
    )


def found_message(found: Found, token: Token) -> identity_pb2.LookupProfileResponse:
    """Return whose an identifier is as a message."""
    return identity_pb2.LookupProfileResponse(
        outcome=_LOOK_UPS[found.outcome],
        profile_id=found.profile_id,
        profile_version=found.version,
        position=position_message(token),
    )


def searched_message(searched: Searched, matcher_id: str, token: Token) -> identity_pb2.SearchProfilesResponse:
    """Return who somebody could be as a message."""
    return identity_pb2.SearchProfilesResponse(
        candidates=[_candidate(each) for each in searched.candidates],
        matcher_id=matcher_id,
        capped=[f"block.{each}" for each in searched.capped],
        position=position_message(token),
    )


def _candidate(candidate: Candidate) -> identity_pb2.Candidate:
    weights = [
        explanation_pb2.ComparisonWeight(
            comparison=each.comparison, level=each.level, bits=each.bits, frequency_bits=each.frequency_bits
        )
        for each in candidate.weights
    ]
    return identity_pb2.Candidate(
        profile_id=candidate.profile_id,
        score_bits=candidate.bits,
        would_join=candidate.would_join,
        nearest=key_message(candidate.nearest),
        nearest_weights=weights,
    )


def profile_message(held: Held) -> profile_pb2.Profile:
    """Return a profile as a message."""
    profile = held.profile
    return profile_pb2.Profile(
        profile_id=profile.profile_id,
        version=profile.version,
        status=_STATUSES[profile.status],
        state=state_message(profile.state),
        redirect_ids=held.redirect_ids,
        created_at=stamp(held.times.created_at),
        updated_at=stamp(held.times.updated_at),
        matcher_id=held.matcher_id,
    )


def held_message(held: HeldRecord) -> profile_pb2.HeldRecord:
    """Return a record in clear as a message."""
    return profile_pb2.HeldRecord(
        record=record_pb2.Record.FromString(held.payload or b""),
        profile_id=held.profile_id,
        recorded_under=held.recorded_under,
        recorded_at=stamp(held.recorded_at),
    )


def relation_message(relation: Relation) -> profile_pb2.Relation:
    """Return a relation as a message."""
    return profile_pb2.Relation(
        kind=_RELATIONS[relation.kind],
        profile_id=relation.profile_id,
        shared_kinds=sorted(relation.kinds),  # type: ignore[arg-type] # the numbers are the contract's
        since=stamp(relation.since),
    )


def constraint_message(constraint: StoredConstraint, key: KeyOf) -> steward_pb2.Constraint:
    """Return a constraint as a message; records that were erased since are left out."""
    groups = ([found for number in group if (found := key(number))] for group in constraint.groups)
    message = steward_pb2.Constraint(
        constraint_id=constraint.constraint_id,
        kind=_CONSTRAINTS[constraint.kind],
        groups=[steward_pb2.RecordGroup(records=map(key_message, group)) for group in groups if group],
        created_at=stamp(constraint.created_at),
        created_by=constraint.created_by,
        reason=constraint.reason,
        review_id=constraint.review_id,
        withdrawn_by=constraint.withdrawn_by,
    )
    if constraint.withdrawn_at is not None:
        message.withdrawn_at.CopyFrom(stamp(constraint.withdrawn_at))
    return message


def decision_message(decision: Decision, key: KeyOf) -> steward_pb2.StewardDecision:
    """Return what became of a steward's decision as a message."""
    return steward_pb2.StewardDecision(
        constraint=constraint_message(decision.constraint, key),
        profiles=map(profile_message, decision.profiles),
        token=position_message(decision.token),
    )
