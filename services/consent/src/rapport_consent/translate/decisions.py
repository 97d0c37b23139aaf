"""What a person decided, as it is asked for and as it is answered."""

from __future__ import annotations

from datetime import datetime

from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport_chassis.times import moment

from rapport_consent.app.ledger import LedgerWrite, Token
from rapport_consent.domain.answers import Answer, Answers
from rapport_consent.domain.evidence import (
    CapturedEvidence,
    CaptureMethod,
    DecisionMaker,
    DeclaredEvidence,
    Evidence,
    ImportedEvidence,
)
from rapport_consent.domain.rows import STATUS_OF
from rapport_consent.domain.states import SubjectState
from rapport_consent.translate.ledger import key_state, position_message, restriction_message, status_message


def answers_of(request: consent_pb2.RecordConsentRequest) -> Answers:
    """Return what a person answered."""
    return Answers(
        items=tuple(
            Answer(item.purpose_id, item.brand_id, item.choice == consent_pb2.CONSENT_CHOICE_GRANT)
            for item in request.items
        ),
        evidence=evidence_of(request.evidence),
        occurred_at=moment(request.occurred_at) if request.HasField("occurred_at") else None,
        notice_id=request.notice_id,
        notice_version=request.notice_version,
        locale=request.locale,
        market=request.market,
    )


def evidence_of(message: consent_pb2.Evidence) -> Evidence:
    """Return the proof that a message holds."""
    match message.WhichOneof("kind"):
        case "captured":
            captured = message.captured
            return CapturedEvidence(
                surface=captured.surface,
                method=CaptureMethod(captured.method),
                decided_by=DecisionMaker(captured.decided_by or DecisionMaker.SUBJECT),
                confirmed_at=moment(captured.confirmed_at) if captured.HasField("confirmed_at") else None,
                proof_sha256=captured.proof_sha256,
            )
        case "imported":
            return imported_evidence_of(message.imported)
        case _:
            return DeclaredEvidence(rule=message.declared.rule)


def imported_evidence_of(message: consent_pb2.ImportedEvidence) -> ImportedEvidence:
    """Return the proof of imported decisions."""
    return ImportedEvidence(
        source=message.source, exported_at=moment(message.exported_at), file_sha256=message.file_sha256
    )


def ledger_write(write: LedgerWrite) -> consent_pb2.LedgerWrite:
    """Return what a write answers."""
    return consent_pb2.LedgerWrite(
        entries=[
            consent_pb2.LedgerEntry(
                reference=row.reference,
                receipt_id=row.receipt_id,
                purpose_id=row.purpose_id,
                brand_id=row.brand_id,
                status=status_message(row.kind) if row.kind in STATUS_OF else ledger_pb2.CONSENT_STATUS_UNSPECIFIED,
                position=row.position,
            )
            for row in write.rows
        ],
        token=position_message(write.token),
        current_profile_id=write.current_id,
    )


def consent_state_message(state: SubjectState, at: datetime, position: Token) -> consent_pb2.ConsentState:
    """Return the state of a person as a message."""
    return consent_pb2.ConsentState(
        current_profile_id=state.profile_id,
        closure_ids=[state.profile_id, *state.redirect_ids],
        states=[key_state(each, at) for each in state.states],
        restriction=restriction_message(state.restriction) if state.restriction else None,
        position=position_message(position),
    )
