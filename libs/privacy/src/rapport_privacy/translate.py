"""From the ledger's messages to what a gate keeps, and from its answers to messages."""

from datetime import datetime
from math import isfinite

from rapport.consent.v1 import consent_pb2, ledger_pb2, purpose_pb2
from rapport_chassis.times import moment, stamp

from rapport_privacy.decision import Decision
from rapport_privacy.state import BasisRule, Key, KeyState, Purpose, PurposeRule, Restriction, Terms


def key_of(state: ledger_pb2.KeyState) -> Key:
    """The key a state belongs to."""
    return state.purpose_id, state.brand_id


def key_state(message: ledger_pb2.KeyState) -> KeyState:
    """The state of one key."""
    return KeyState(
        status=message.status,
        evidence=message.evidence,
        expires_at=moment(message.expires_at) if message.HasField("expires_at") else None,
        decided_at=moment(message.decided_at) if message.HasField("decided_at") else None,
        reference=message.reference,
        notice_id=message.notice_id,
        notice_version=message.notice_version,
        granting_ids=tuple(message.granting_ids),
        reask_not_before=moment(message.reask_not_before) if message.HasField("reask_not_before") else None,
    )


def restriction(message: ledger_pb2.Restriction) -> Restriction | None:
    """The restriction, or none if it is not in force."""
    if not message.in_force:
        return None
    return Restriction(ground=message.ground, since=moment(message.since) if message.HasField("since") else None)


def purpose(message: ledger_pb2.PurposeState) -> Purpose:
    """The whole state of a purpose."""
    rules = (PurposeRule(rule.version, moment(rule.active_from), terms(rule.terms)) for rule in message.rules)
    return Purpose(message.purpose_id, tuple(sorted(rules, key=_in_order_of_time)), message.retired)


def terms(message: purpose_pb2.PurposeTerms) -> Terms:
    """The terms a decision looks at."""
    return Terms(
        bases=tuple(BasisRule(rule.data_category, rule.market, rule.basis) for rule in message.bases),
        brand_scoped=message.brand_scoped,
        direct_marketing=message.direct_marketing,
        separate=message.separate,
        explicit=message.explicit,
        despite_restriction=message.despite_restriction,
        brand_ids=frozenset(message.brand_ids),
        markets=frozenset(message.markets),
    )


def decision_message(decision: Decision) -> consent_pb2.Decision:
    """Return the gate's answer as a message."""
    as_of, staleness_s, state = decision.as_of, decision.staleness_s, decision.state
    message = consent_pb2.Decision(
        answer=decision.answer,  # type: ignore[arg-type] # the numbers are the contract's
        reason=decision.reason,  # type: ignore[arg-type] # the numbers are the contract's
        basis=decision.basis,  # type: ignore[arg-type] # the numbers are the contract's
        purpose_version=decision.purpose_version,
        current_profile_id=decision.profile_id,
        as_of=stamp(as_of),
    )
    if decision.epoch:
        message.position.epoch = decision.epoch
        message.position.position = decision.position
    if isfinite(staleness_s):
        message.staleness.FromMicroseconds(int(staleness_s * 1e6))
    if state is not None:
        message.reference = state.reference
        message.notice_id = state.notice_id
        message.notice_version = state.notice_version
        message.evidence = state.evidence  # type: ignore[assignment] # the numbers are the contract's
        if state.expires_at is not None:
            message.expires_at.CopyFrom(stamp(state.expires_at))
        if state.reask_not_before is not None:
            message.reask_not_before.CopyFrom(stamp(state.reask_not_before))
    return message


def _in_order_of_time(rule: PurposeRule) -> tuple[datetime, int]:
    return rule.active_from, rule.version
