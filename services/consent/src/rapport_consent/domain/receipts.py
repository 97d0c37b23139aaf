"""What a person is handed as proof: a consent receipt with the mandatory fields of ISO/IEC TS 27560.

Times and large numbers are text, so that the document has one canonical form (RFC 8785) everywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rapport_privacy.vocabulary import Basis

from rapport_consent.domain.evidence import CapturedEvidence, DeclaredEvidence, Evidence, ImportedEvidence
from rapport_consent.domain.notices import Notice
from rapport_consent.domain.purposes import PurposeTerms
from rapport_consent.domain.rows import STATUS_OF, LedgerRow

SCHEMA_VERSION: Final = "rapport-receipt/1 (ISO/IEC TS 27560:2023)"
"""Names the form of the document and the standard whose fields it holds."""

Json = str | bool | Sequence["Json"] | Mapping[str, "Json"]


@dataclass(frozen=True, slots=True)
class Controller:
    """Who answers for the data, and what the standard wants said of how.

    Attributes:
        party_id: Stable id of the controller.
        name: Legal name.
        address: Postal address.
        contact: Where a person can write to.
        jurisdiction: Law the controller answers to.
        storage_location: Where the data is kept.
        retention: How long it is kept, or by what it is decided.
        withdrawal_method: How consent is taken back.
        recipients: Third parties who receive the data.
        authority: The supervisory authority to complain to, line by line; empty for that of the person's market.
    """

    party_id: str
    name: str
    address: str
    contact: str
    jurisdiction: str
    storage_location: str
    retention: str
    withdrawal_method: str
    recipients: tuple[str, ...] = ()
    authority: tuple[str, ...] = ()


def receipt_document(
    row: LedgerRow, epoch: str, terms: PurposeTerms | None, notice: Notice | None, controller: Controller
) -> dict[str, Json]:
    """Return the receipt of a decision.

    Args:
        row: The decision.
        epoch: Epoch of the ledger, which makes the position unique.
        terms: Terms of the purpose's version that the row names; None for direct marketing as a whole.
        notice: The notice that the row names; None if it names none.
        controller: Who answers for the data.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "record_id": row.reference,
        "receipt_id": row.receipt_id,
        "pii_principal_id": row.named_id,
        "pii_processing": {
            "privacy_notice": _notice(row, notice),
            "language": row.locale or (notice.locale if notice else ""),
            "purposes": [_purpose(row, terms, controller)],
        },
        "party_identification": [
            {
                "party_id": controller.party_id,
                "party_type": "controller",
                "party_name": controller.name,
                "party_address": controller.address,
                "party_contact": controller.contact,
            }
        ],
        "events": [
            {
                "event_time": time_text(row.occurred_at),
                "validity_duration": _validity(row),
                "entity_id": row.named_id,
                "event_type": row.kind.value,
                "event_state": STATUS_OF[row.kind].name.lower(),
            }
        ],
        "evidence": _evidence(row.evidence),
        "ledger": {"epoch": epoch, "position": str(row.position), "recorded_at": time_text(row.recorded_at)},
    }


def _purpose(row: LedgerRow, terms: PurposeTerms | None, controller: Controller) -> dict[str, Json]:
    categories = sorted({rule.data_category for rule in terms.bases if rule.data_category}) if terms else []
    basis = terms.basis(market=row.market) if terms else Basis.UNSPECIFIED
    return {
        "purpose": row.purpose_id,
        "purpose_version": str(row.purpose_version),
        "brand": row.brand_id or "all",
        "lawful_basis": basis.name.lower(),
        "pii_information": [{"pii_type": category} for category in categories or ["all"]],
        "pii_controllers": [controller.party_id],
        "storage_locations": [controller.storage_location],
        "retention_period": controller.retention,
        "jurisdiction": controller.jurisdiction,
        "market": row.market or "unknown",
        "recipient_third_parties": list(controller.recipients),
        "withdrawal_method": controller.withdrawal_method,
        "explicit": bool(terms and terms.explicit),
        "separate": bool(terms and terms.separate),
    }


def _notice(row: LedgerRow, notice: Notice | None) -> dict[str, Json]:
    if not row.notice_id:
        return {}
    shown: dict[str, Json] = {"notice_id": row.notice_id, "version": str(row.notice_version)}
    return shown if notice is None else {**shown, "locale": notice.locale, "sha256": notice.sha256.hex()}


def _evidence(evidence: Evidence | None) -> dict[str, Json]:
    match evidence:
        case CapturedEvidence():
            return {
                "kind": "captured",
                "surface": evidence.surface,
                "method": evidence.method.name.lower(),
                "decided_by": evidence.decided_by.name.lower(),
                "confirmed_at": time_text(evidence.confirmed_at) if evidence.confirmed_at else "",
                "proof_sha256": evidence.proof_sha256.hex(),
            }
        case ImportedEvidence():
            return {
                "kind": "imported",
                "source": evidence.source,
                "exported_at": time_text(evidence.exported_at),
                "file_sha256": evidence.file_sha256.hex(),
            }
        case DeclaredEvidence():
            return {"kind": "declared", "rule": evidence.rule}
        case None:
            return {"kind": "none"}


def _validity(row: LedgerRow) -> str:
    return f"until {time_text(row.expires_at)}" if row.expires_at else "until withdrawn or decided anew"


def time_text(when: datetime) -> str:
    """RFC 3339 in UTC, always with microseconds."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
