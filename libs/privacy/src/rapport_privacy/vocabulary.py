"""The words of the gate, with the numbers of rapport.consent.v1. A number that is not here means deny."""

from enum import IntEnum
from typing import Final

DIRECT_MARKETING: Final = "direct_marketing.*"
"""Key of an objection to direct marketing as a whole, present and future purposes."""


class Answer(IntEnum):
    """Whether an effect is allowed."""

    UNSPECIFIED = 0
    PERMIT = 1
    DENY = 2
    DENY_STALE = 3
    DENY_UNKNOWN = 4
    DENY_FENCED = 5


class Reason(IntEnum):
    """Why the gate answered so."""

    UNSPECIFIED = 0
    GRANTED = 1
    BASIS = 2
    NO_DECISION = 3
    REFUSED = 4
    WITHDRAWN = 5
    OBJECTED = 6
    OPTED_OUT = 7
    EXPIRED = 8
    RESTRICTED = 9
    ERASED = 10
    PURPOSE_INACTIVE = 11
    NOT_APPLICABLE = 12
    UNKNOWN_PURPOSE = 13
    COLD = 14
    STALE = 15
    TOKEN_UNMET = 16
    EVIDENCE_INSUFFICIENT = 17


class Basis(IntEnum):
    """Why the law lets a purpose be served (GDPR Article 6)."""

    UNSPECIFIED = 0
    CONSENT = 1
    CONTRACT = 2
    LEGAL_OBLIGATION = 3
    VITAL_INTEREST = 4
    PUBLIC_TASK = 5
    LEGITIMATE_INTEREST = 6


class Status(IntEnum):
    """The decision in force for one key. UNSPECIFIED is neutral, as if there were none."""

    UNSPECIFIED = 0
    GRANTED = 1
    REFUSED = 2
    WITHDRAWN = 3
    OBJECTED = 4
    OPTED_OUT = 5


EXPLICIT_NEGATIVES: Final = frozenset((Status.REFUSED, Status.WITHDRAWN, Status.OBJECTED, Status.OPTED_OUT))
"""Decisions that deny on every basis a person may decide about."""


class EvidenceKind(IntEnum):
    """Where the proof of a decision comes from."""

    UNSPECIFIED = 0
    CAPTURED = 1
    IMPORTED = 2
    DECLARED = 3


def is_negative(status: int) -> bool:
    """True if a state denies: everything but a grant and the absence of a decision, unknown numbers included."""
    return status not in (Status.GRANTED, Status.UNSPECIFIED)
