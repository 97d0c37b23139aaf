"""A certificate certifies what was answered and probed, names nobody, and fits on a page."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import rfc8785
from rapport_consent.adapters.certificates import certificate_pdf
from rapport_consent.domain.certificates import (
    ErasureFacts,
    KeysDestroyed,
    ParticipantAnswer,
    certificate_document,
    certificate_faults,
)
from rapport_consent.domain.receipts import Controller
from rapport_consent.domain.tasks import Kept, StoreCount

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
KEPT = Kept("receipts", 2, "LEGAL_OBLIGATION", datetime(2034, 1, 1, tzinfo=UTC))
ERASED = ParticipantAnswer("pricing", "ERASE", "PARTIAL", AT, (StoreCount("receipts", 5, 3),), (KEPT,))
NOTHING = ParticipantAnswer("churn", "ERASE", "NOTHING_HELD", AT, ())
PROBED = replace(ERASED, task="PROBE", stores=(StoreCount("receipts", 2, 0),))
FACTS = ErasureFacts(
    certificate_id="crt_0123456789",
    request_id="req_0123456789",
    rule_pack="GDPR.1",
    received_at=AT,
    approved_at=AT,
    completed_at=AT,
    ids=3,
    answers=(ERASED, NOTHING),
    probe=(PROBED, replace(NOTHING, task="PROBE")),
    keys=(KeysDestroyed(AT, 4, "tsk_0123456789", "identity"),),
    choices={"INCLUDED": 1, "EXCLUDED": 2},
    controller=Controller("acme", "Acme GmbH", "1 Main Street", "privacy@example.com", "EU", "EU", "", ""),
)


def test_erasure_that_is_answered_and_probed_may_be_certified() -> None:
    assert certificate_faults(FACTS) == ()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"answers": (), "probe": ()}, "NO_ANSWERS"),
        ({"answers": (replace(ERASED, outcome="FAILED"), NOTHING)}, "UNFINISHED"),
        ({"probe": (PROBED,)}, "NOT_PROBED"),
        ({"probe": (replace(PROBED, stores=(StoreCount("receipts", 3, 0),)), FACTS.probe[1])}, "STILL_FOUND"),
        ({"probe": (replace(PROBED, kept=(replace(KEPT, store="offers"),)), FACTS.probe[1])}, "STILL_FOUND"),
    ],
)
def test_erasure_that_is_not_complete_or_not_probed_is_not_certified(change: dict[str, Any], fault: str) -> None:
    assert certificate_faults(replace(FACTS, **change)) == (fault,)


@pytest.mark.parametrize(("locale", "participants"), [("en", 1), ("de-AT", 60), ("fr", 5), ("xx", 1)])
def test_certificate_is_on_one_page_however_many_took_part(locale: str, participants: int) -> None:
    answers = tuple(replace(ERASED, participant=f"participant-{n}") for n in range(participants))
    document = rfc8785.dumps(certificate_document(replace(FACTS, answers=answers)))
    page = certificate_pdf(document, bytes(32), locale)
    assert page.startswith(b"%PDF-")
    assert page.count(b"/Type /Page\n") == 1
