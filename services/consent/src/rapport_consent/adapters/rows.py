"""Ledger rows to and from their columns. What no query looks for lives in `details`."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from rapport_consent.domain.evidence import (
    CapturedEvidence,
    CaptureMethod,
    DecisionMaker,
    DeclaredEvidence,
    Evidence,
    ImportedEvidence,
)
from rapport_consent.domain.rows import LedgerRow, PartitionChange, ResultingProfile, RowKind

_COLUMNS: Final = (
    "position, recorded_at, reference, named_id, kind, occurred_at, purpose_id, brand_id, expires_at, "
    "reask_not_before, receipt_id, details"
)
READ_COLUMNS: Final = f"{_COLUMNS}::text"
"""Columns in the order `row_of` takes them."""

WRITE_COLUMNS: Final = f"{_COLUMNS}, epoch, change"
"""Columns in the order `columns_of` gives them."""

_PLAIN: Final = ("purpose_version", "notice_id", "notice_version", "locale", "market", "ground")
_KINDS: Final = {kind.value: kind for kind in RowKind}


def row_of(columns: tuple[Any, ...]) -> LedgerRow:
    """Return the row that these columns hold."""
    position, recorded_at, reference, named_id, kind, occurred_at, purpose_id, brand_id = columns[:8]
    expires_at, reask_not_before, receipt_id, details = columns[8:]
    return LedgerRow(
        position,
        recorded_at,
        reference,
        named_id,
        _KINDS[kind],
        occurred_at or recorded_at,
        purpose_id,
        brand_id,
        expires_at,
        reask_not_before,
        receipt_id=receipt_id or "",
        **_details_of(details) if details else {},
    )


def columns_of(row: LedgerRow, epoch: str, change: bytes) -> tuple[Any, ...]:
    """Return the columns that hold a row and what it changed."""
    return (
        row.position,
        row.recorded_at,
        row.reference,
        row.named_id,
        row.kind.value,
        row.occurred_at,
        row.purpose_id,
        row.brand_id,
        row.expires_at,
        row.reask_not_before,
        row.receipt_id or None,
        _details_text(row.carried_after, row.evidence, row.partition, *[getattr(row, name) for name in _PLAIN]),
        epoch,
        change,
    )


@lru_cache(maxsize=256)
def _details_of(text: str) -> dict[str, Any]:
    """The fields that `details` holds: for all rows of an import the same, and read once."""
    details = json.loads(text)
    evidence, partition = details.pop("evidence", None), details.pop("partition", None)
    return {**details, "evidence": _evidence_of(evidence), "partition": _partition_of(partition)}


@lru_cache(maxsize=256)
def _details_text(
    carried_after: int | None, evidence: Evidence | None, partition: PartitionChange | None, *plain: str | int
) -> str | None:
    details: dict[str, Any] = {name: value for name, value in zip(_PLAIN, plain, strict=True) if value}
    if carried_after is not None:  # 0 is a position like any other
        details["carried_after"] = carried_after
    if evidence is not None:
        details["evidence"] = _evidence_json(evidence)
    if partition is not None:
        details["partition"] = asdict(partition)
    return json.dumps(details) if details else None


def _evidence_json(evidence: Evidence) -> dict[str, Any]:
    match evidence:
        case CapturedEvidence():
            return {
                "captured": evidence.surface,
                "method": int(evidence.method),
                "decided_by": int(evidence.decided_by),
                "confirmed_at": evidence.confirmed_at and evidence.confirmed_at.isoformat(),
                "proof_sha256": evidence.proof_sha256.hex(),
            }
        case ImportedEvidence():
            return {
                "imported": evidence.source,
                "exported_at": evidence.exported_at.isoformat(),
                "file_sha256": evidence.file_sha256.hex(),
            }
        case DeclaredEvidence():
            return {"declared": evidence.rule}


def _evidence_of(value: dict[str, Any] | None) -> Evidence | None:
    if value is None:
        return None
    if "captured" in value:
        confirmed_at = value.get("confirmed_at")
        return CapturedEvidence(
            surface=value["captured"],
            method=CaptureMethod(value["method"]),
            decided_by=DecisionMaker(value["decided_by"]),
            confirmed_at=_time(confirmed_at) if confirmed_at else None,
            proof_sha256=bytes.fromhex(value["proof_sha256"]),
        )
    if "imported" in value:
        return ImportedEvidence(
            source=value["imported"],
            exported_at=_time(value["exported_at"]),
            file_sha256=bytes.fromhex(value["file_sha256"]),
        )
    return DeclaredEvidence(rule=value["declared"])


def _partition_of(value: dict[str, Any] | None) -> PartitionChange | None:
    if value is None:
        return None
    return PartitionChange(
        identity_event_id=value["identity_event_id"],
        profiles=tuple(
            ResultingProfile(profile["profile_id"], profile["version"], tuple(profile["redirect_ids"]))
            for profile in value["profiles"]
        ),
        issued_ids=tuple(value["issued_ids"]),
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
