"""From the ledger's messages to what a gate keeps."""

from datetime import datetime

from rapport.consent.v1 import ledger_pb2, purpose_pb2
from rapport_chassis.times import moment

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


def _in_order_of_time(rule: PurposeRule) -> tuple[datetime, int]:
    return rule.active_from, rule.version
