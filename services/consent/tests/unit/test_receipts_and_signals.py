"""Receipts hold what the standard asks for; signals are read to the letter; words keep the contract's numbers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import rfc8785
from rapport.consent.v1 import consent_pb2, purpose_pb2
from rapport_chassis.errors import RapportError
from rapport_consent.domain.evidence import (
    CapturedEvidence,
    CaptureMethod,
    DecisionMaker,
    DeclaredEvidence,
    Evidence,
    ImportedEvidence,
)
from rapport_consent.domain.notices import Notice
from rapport_consent.domain.purposes import BasisRule, PurposeTerms, SignalKind
from rapport_consent.domain.receipts import Controller, receipt_document
from rapport_consent.domain.rows import LedgerRow, RowKind
from rapport_consent.domain.signals import gpc_opts_out, refuse_signal
from rapport_privacy.vocabulary import DIRECT_MARKETING, Basis

WHEN = datetime(2026, 5, 1, 12, 30, 15, 250, tzinfo=UTC)
CONTROLLER = Controller(
    party_id="controller",
    name="North Ltd",
    address="1 Quay",
    contact="privacy@example.com",
    jurisdiction="EU",
    storage_location="EU",
    retention="until erased",
    withdrawal_method="WithdrawConsent",
    recipients=("Carrier",),
)
TERMS = PurposeTerms((BasisRule(Basis.CONSENT), BasisRule(Basis.CONSENT, "contact", "DE")), explicit=True)
NOTICE = Notice("welcome", 3, "de", "Hallo", bytes(32), frozenset({"news"}), "", WHEN, "mia")
# Field names of ISO/IEC TS 27560: header, processing, party, event.
HEADER = {"schema_version", "record_id", "receipt_id", "pii_principal_id"}
PROCESSING = {"privacy_notice", "language", "purposes"}
PURPOSE = {
    "purpose",
    "pii_information",
    "pii_controllers",
    "storage_locations",
    "retention_period",
    "jurisdiction",
    "recipient_third_parties",
    "withdrawal_method",
}
PARTY = {"party_id", "party_name", "party_address", "party_contact", "party_type"}
EVENT = {"event_time", "validity_duration", "entity_id", "event_type", "event_state"}


def document(evidence: Evidence | None, kind: RowKind = RowKind.GRANT, purpose_id: str = "news") -> dict[str, Any]:
    row = LedgerRow(
        position=2**60,
        recorded_at=WHEN,
        reference="cev_1",
        named_id="prf_1",
        kind=kind,
        occurred_at=WHEN,
        purpose_id=purpose_id,
        brand_id="north",
        expires_at=WHEN + timedelta(days=1),
        purpose_version=4,
        notice_id="welcome",
        notice_version=3,
        market="DE",
        evidence=evidence,
        receipt_id="rcp_1",
    )
    terms = None if purpose_id == DIRECT_MARKETING else TERMS
    return dict(receipt_document(row, "epoch-1", terms, NOTICE, CONTROLLER))


def filled(part: dict[str, Any], names: set[str]) -> bool:
    return all(part[name] for name in names)


def test_receipt_has_every_mandatory_field_of_the_standard() -> None:
    receipt = document(CapturedEvidence("page", CaptureMethod.CHECKBOX, confirmed_at=WHEN))
    assert filled(receipt, HEADER)
    assert filled(receipt["pii_processing"], PROCESSING)
    (purpose,) = receipt["pii_processing"]["purposes"]
    assert filled(purpose, PURPOSE)
    assert purpose["pii_information"] == [{"pii_type": "contact"}]
    assert (purpose["lawful_basis"], purpose["explicit"]) == ("consent", True)
    assert filled(receipt["party_identification"][0], PARTY)
    (event,) = receipt["events"]
    assert filled(event, EVENT)
    assert event["event_time"] == "2026-05-01T12:30:15.000250Z"
    assert event["validity_duration"] == "until 2026-05-02T12:30:15.000250Z"
    assert receipt["pii_processing"]["privacy_notice"]["sha256"] == "00" * 32
    assert receipt["pii_processing"]["language"] == "de"


def test_receipt_has_one_canonical_form_also_with_large_positions() -> None:
    receipt = document(None)
    assert receipt["ledger"]["position"] == str(2**60)
    assert rfc8785.dumps(receipt) == rfc8785.dumps(dict(reversed(receipt.items())))


@pytest.mark.parametrize(
    ("evidence", "shown"),
    [
        (DeclaredEvidence("store-card"), {"kind": "declared", "rule": "store-card"}),
        (ImportedEvidence("old-crm", WHEN, b"\1" * 32), {"kind": "imported", "source": "old-crm"}),
        (
            CapturedEvidence("call", CaptureMethod.SPOKEN, DecisionMaker.GUARDIAN),
            {"kind": "captured", "method": "spoken", "decided_by": "guardian"},
        ),
        (None, {"kind": "none"}),
    ],
)
def test_receipt_shows_where_the_proof_comes_from(evidence: Evidence | None, shown: dict[str, str]) -> None:
    assert shown.items() <= document(evidence)["evidence"].items()


def test_receipt_of_an_objection_to_direct_marketing_as_a_whole() -> None:
    receipt = document(None, RowKind.OBJECT, DIRECT_MARKETING)
    assert receipt["events"][0]["event_state"] == "objected"
    assert receipt["pii_processing"]["purposes"][0]["pii_information"] == [{"pii_type": "all"}]


@pytest.mark.parametrize(
    ("header", "opted_out"),
    [("1", True), ("1, 1", True), ("1,1\t,1", True), ("", False), ("0", False), (" 1", False), ("1 ", False)]
    + [(value, False) for value in ("11", "1, 0", "true", "1;q=1", "\uff11", "1\n", ",1", "1,")],
)
def test_privacy_control_is_exactly_one_however_often_it_was_sent(header: str, opted_out: bool) -> None:
    assert gpc_opts_out(header) is opted_out


@pytest.mark.parametrize("kind", ["tcf", "gpp"])
def test_signal_without_a_codec_is_refused_by_its_field(kind: str) -> None:
    with pytest.raises(RapportError) as caught:
        refuse_signal(kind)
    assert (caught.value.reason.name, caught.value.fields[0].path) == ("SIGNAL_UNSUPPORTED", kind)


@pytest.mark.parametrize(
    ("ours", "contract", "prefix"),
    [
        (CaptureMethod, consent_pb2.CaptureMethod, "CAPTURE_METHOD"),
        (DecisionMaker, consent_pb2.DecisionMaker, "DECISION_MAKER"),
        (SignalKind, purpose_pb2.SignalKind, "SIGNAL_KIND"),
    ],
)
def test_words_have_the_numbers_of_the_contract(ours: Any, contract: Any, prefix: str) -> None:
    assert {f"{prefix}_{member.name}": member.value for member in ours} == dict(contract.items())
