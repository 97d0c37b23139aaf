"""Purposes: their terms, their authored versions, and how a gate is told of them."""

from __future__ import annotations

from typing import Final

from rapport.consent.v1 import ledger_pb2, purpose_pb2
from rapport_chassis.authored import Version
from rapport_chassis.times import duration, stamp
from rapport_privacy.vocabulary import Basis

from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.purposes import BasisRule, Purpose, PurposeTerms, SignalKind


def terms_of(message: purpose_pb2.PurposeTerms) -> PurposeTerms:
    """Return the terms that a message states."""
    return PurposeTerms(
        bases=tuple(BasisRule(Basis(rule.basis), rule.data_category, rule.market) for rule in message.bases),
        brand_scoped=message.brand_scoped,
        direct_marketing=message.direct_marketing,
        separate=message.separate,
        explicit=message.explicit,
        double_opt_in=message.double_opt_in,
        despite_restriction=message.despite_restriction,
        expires_after=duration(message.expires_after) if message.HasField("expires_after") else None,
        reask_after=duration(message.reask_after) if message.HasField("reask_after") else None,
        signals=frozenset(SignalKind(signal) for signal in message.signals),
        brand_ids=frozenset(message.brand_ids),
        markets=frozenset(message.markets),
    )


def terms_message(terms: PurposeTerms) -> purpose_pb2.PurposeTerms:
    """Return terms as a message."""
    message = purpose_pb2.PurposeTerms(
        bases=[
            purpose_pb2.BasisRule(
                data_category=rule.data_category,
                market=rule.market,
                basis=int(rule.basis),  # type: ignore[arg-type] # the numbers are the contract's
            )
            for rule in terms.bases
        ],
        brand_scoped=terms.brand_scoped,
        direct_marketing=terms.direct_marketing,
        separate=terms.separate,
        explicit=terms.explicit,
        double_opt_in=terms.double_opt_in,
        despite_restriction=terms.despite_restriction,
        signals=sorted(int(signal) for signal in terms.signals),  # type: ignore[misc] # the numbers are the contract's
        brand_ids=sorted(terms.brand_ids),
        markets=sorted(terms.markets),
    )
    if terms.expires_after is not None:
        message.expires_after.FromTimedelta(terms.expires_after)
    if terms.reask_after is not None:
        message.reask_after.FromTimedelta(terms.reask_after)
    return message


def purpose_state(purpose: Purpose) -> ledger_pb2.PurposeState:
    """Return the whole state of a purpose as a gate needs it."""
    return ledger_pb2.PurposeState(
        purpose_id=purpose.purpose_id,
        rules=[
            ledger_pb2.PurposeRule(
                version=each.version, active_from=stamp(each.active_from), terms=terms_message(each.terms)
            )
            for each in purpose.versions
        ],
        retired=purpose.retired,
    )


_VERSION_STATES: Final = {
    "draft": purpose_pb2.VERSION_STATE_DRAFT,
    "active": purpose_pb2.VERSION_STATE_ACTIVE,
    "retired": purpose_pb2.VERSION_STATE_RETIRED,
}


def purpose_message(version: Version) -> purpose_pb2.Purpose:
    """Return a version of a purpose as a message."""
    message = purpose_pb2.Purpose(
        purpose_id=version.id,
        version=version.version,
        state=_VERSION_STATES[version.state],
        terms=purpose_pb2.PurposeTerms.FromString(version.body),
        created_at=stamp(version.created_at),
        decided_by=version.retired_by or version.decided_by or "",
        reason=version.retire_reason or version.reason or "",
    )
    if version.active_from is not None:
        message.active_from.CopyFrom(stamp(version.active_from))
    return message


def merged_terms(request: purpose_pb2.UpsertPurposeRequest, latest: PurposeTerms | None) -> purpose_pb2.PurposeTerms:
    """Return the terms a request wants: all of them, or with a mask only the fields named, the others as they were.

    Raises:
        RapportError: TERMS_INVALID: the mask names a field that terms do not have (AIP-134).
    """
    if not request.HasField("update_mask") or latest is None:
        return request.terms
    if not request.update_mask.IsValidForDescriptor(purpose_pb2.PurposeTerms.DESCRIPTOR):
        raise ERRORS.error("TERMS_INVALID", "the mask names a field that terms do not have", field="update_mask")
    merged = terms_message(latest)
    request.update_mask.MergeMessage(request.terms, merged, True, True)
    return merged
