"""Imports, in short words."""

from __future__ import annotations

from typing import Any

from consent_desk import ago, profile, request_id
from google.rpc import error_details_pb2
from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport_chassis.times import stamp

GRANTED, OBJECTED = ledger_pb2.CONSENT_STATUS_GRANTED, ledger_pb2.CONSENT_STATUS_OBJECTED


def header(source: str | None = None, *, dry_run: bool = False) -> consent_pb2.ImportHeader:
    """The opening of an import; without a name, from a source that nobody else uses."""
    evidence = consent_pb2.ImportedEvidence(
        source=source or f"crm-{request_id()}", exported_at=stamp(ago(days=1)), file_sha256=bytes(32)
    )
    return consent_pb2.ImportHeader(evidence=evidence, dry_run=dry_run)


def row(number: int, purpose: str = "promo", person: str | None = None, **fields: Any) -> consent_pb2.ImportRow:
    """A decision of a month ago; a yes if not said otherwise, of somebody unknown if nobody is named."""
    values = {"status": GRANTED, "occurred_at": stamp(ago(days=30)), **fields}
    return consent_pb2.ImportRow(
        external_id=f"row-{number}", profile_id=person or profile(), purpose_id=purpose, **values
    )


def batch(*rows: consent_pb2.ImportRow) -> consent_pb2.RecordConsentsRequest:
    """Rows written in one transaction."""
    return consent_pb2.RecordConsentsRequest(batch=consent_pb2.ImportBatch(rows=rows))


def reason(result: consent_pb2.ImportResult) -> str:
    """Why a row was refused; empty if it was not."""
    for detail in result.status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.reason
    assert result.status.code == 0
    return ""
