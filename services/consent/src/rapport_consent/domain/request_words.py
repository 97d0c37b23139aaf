"""The words that say how a privacy request came, where it stands, and how it ended."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from rapport_consent.domain.rule_packs import Assurance


class RequestState(StrEnum):
    """Where a request stands."""

    RECEIVED = "RECEIVED"
    VERIFIED = "VERIFIED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    REFUSED = "REFUSED"
    CANCELLED = "CANCELLED"


OPEN: Final = frozenset({RequestState.RECEIVED, RequestState.VERIFIED, RequestState.RUNNING})
"""The states in which something is still to be done."""


class RightState(StrEnum):
    """Where one right of a request stands."""

    ASKED = "ASKED"
    REFUSAL_PROPOSED = "REFUSAL_PROPOSED"
    REFUSED = "REFUSED"
    APPROVED = "APPROVED"
    FULFILLED = "FULFILLED"


class Outcome(StrEnum):
    """How a right that was approved ended."""

    DONE = "DONE"
    PARTIAL = "PARTIAL"
    NOTHING_HELD = "NOTHING_HELD"
    CHANGED = "CHANGED"
    UPHELD = "UPHELD"


class Channel(StrEnum):
    """How a request came."""

    WEB = "WEB"
    EMAIL = "EMAIL"
    PHONE = "PHONE"
    LETTER = "LETTER"
    IN_PERSON = "IN_PERSON"
    APP = "APP"


class Role(StrEnum):
    """For whom the requester asks."""

    SUBJECT = "SUBJECT"
    AGENT = "AGENT"
    GUARDIAN = "GUARDIAN"
    HEIR = "HEIR"


class Method(StrEnum):
    """How somebody showed who they are."""

    CODE = "CODE"
    LOGIN = "LOGIN"
    DOCUMENT = "DOCUMENT"
    LETTER = "LETTER"


ASSURANCE_OF: Final = {
    Method.CODE: Assurance.SUBSTANTIAL,
    Method.LOGIN: Assurance.SUBSTANTIAL,
    Method.LETTER: Assurance.SUBSTANTIAL,
    Method.DOCUMENT: Assurance.SUBSTANTIAL,
}
"""How sure each makes one; two different ones together make one as sure as can be."""


class Choice(StrEnum):
    """What becomes of a record that only likely is the person's."""

    UNDECIDED = "UNDECIDED"
    INCLUDED = "INCLUDED"
    EXCLUDED = "EXCLUDED"
    ASKED = "ASKED"


class ParticipantKind(StrEnum):
    """How a participant is reached."""

    EVENT = "EVENT"
    WEBHOOK = "WEBHOOK"
    MANUAL = "MANUAL"
