"""Versions of what operators author, as messages of the contract."""

from __future__ import annotations

from typing import Final

from rapport.pricing.v1 import authored_pb2, catalog_pb2
from rapport_chassis.authored import Version, VersionState
from rapport_chassis.times import stamp

from rapport_pricing.app.rules import Kind
from rapport_pricing.translate.terms import AnyTerms

SetRequest = catalog_pb2.SetMarketRequest | catalog_pb2.SetPricePolicyRequest | catalog_pb2.SetPromotionRequest

KINDS: Final = {
    authored_pb2.TERMS_KIND_MARKET: Kind.MARKET,
    authored_pb2.TERMS_KIND_PRICE_POLICY: Kind.POLICY,
    authored_pb2.TERMS_KIND_PROMOTION: Kind.PROMOTION,
    authored_pb2.TERMS_KIND_EXPERIMENT: Kind.EXPERIMENT,
}
STATES: Final[dict[int, VersionState | None]] = {
    authored_pb2.VERSION_STATE_UNSPECIFIED: None,
    authored_pb2.VERSION_STATE_DRAFT: "draft",
    authored_pb2.VERSION_STATE_ACTIVE: "active",
    authored_pb2.VERSION_STATE_RETIRED: "retired",
}
_KIND_NUMBERS: Final = {kind: number for number, kind in KINDS.items()}
_STATE_NUMBERS: Final = {state: number for number, state in STATES.items()}


def name_of(request: SetRequest) -> tuple[Kind, str]:
    """Return what a draft is of."""
    if isinstance(request, catalog_pb2.SetMarketRequest):
        return Kind.MARKET, request.market
    if isinstance(request, catalog_pb2.SetPricePolicyRequest):
        return Kind.POLICY, request.policy_id
    return Kind.PROMOTION, request.promotion_id


def version_message(kind: Kind, version: Version) -> authored_pb2.AuthoredVersion:
    """Return a version as a message."""
    message = authored_pb2.AuthoredVersion(
        kind=_KIND_NUMBERS[kind],
        name=version.id,
        version=version.version,
        state=_STATE_NUMBERS[version.state],  # type: ignore[arg-type] # the contract's numbers
        created_at=stamp(version.created_at),
        decided_by=version.retired_by or version.decided_by or "",
        reason=version.retire_reason or version.reason or "",
    )
    fields: dict[Kind, AnyTerms] = {
        Kind.MARKET: message.market,
        Kind.POLICY: message.policy,
        Kind.PROMOTION: message.promotion,
        Kind.EXPERIMENT: message.experiment,
    }
    field = fields[kind]
    field.MergeFromString(version.body)
    field.SetInParent()
    if version.active_from is not None:
        message.active_from.CopyFrom(stamp(version.active_from))
    return message
