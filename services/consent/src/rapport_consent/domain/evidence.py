"""Proof of a decision: where it comes from, and what it holds."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import ClassVar

from rapport_privacy.vocabulary import EvidenceKind


class CaptureMethod(IntEnum):
    """How a decision was captured; the numbers are those of the contract."""

    UNSPECIFIED = 0
    CHECKBOX = 1
    BUTTON = 2
    TOGGLE = 3
    SIGNATURE = 4
    SPOKEN = 5


class DecisionMaker(IntEnum):
    """Who decided; the numbers are those of the contract."""

    UNSPECIFIED = 0
    SUBJECT = 1
    GUARDIAN = 2
    AGENT = 3


@dataclass(frozen=True, slots=True)
class CapturedEvidence:
    """Proof captured as the decision happened.

    Attributes:
        surface: Page, screen or script, for example "checkout/step-2".
        method: How; unspecified for what a person asked of us in their own words, such as a withdrawal.
        decided_by: The person, or who may decide for them.
        confirmed_at: When the person confirmed it (double opt-in).
        proof_sha256: Digest of a proof kept elsewhere; empty for none.
    """

    kind: ClassVar[EvidenceKind] = EvidenceKind.CAPTURED

    surface: str
    method: CaptureMethod = CaptureMethod.UNSPECIFIED
    decided_by: DecisionMaker = DecisionMaker.SUBJECT
    confirmed_at: datetime | None = None
    proof_sha256: bytes = b""


@dataclass(frozen=True, slots=True)
class ImportedEvidence:
    """Proof taken over from an earlier system: its name, the date of the export and the digest of the file."""

    kind: ClassVar[EvidenceKind] = EvidenceKind.IMPORTED

    source: str
    exported_at: datetime
    file_sha256: bytes


@dataclass(frozen=True, slots=True)
class DeclaredEvidence:
    """The operator's word alone, with the rule by which it was given."""

    kind: ClassVar[EvidenceKind] = EvidenceKind.DECLARED

    rule: str


Evidence = CapturedEvidence | ImportedEvidence | DeclaredEvidence
