"""Every decision there can be, packed: check and filter say what the rules say of it."""

import itertools
from collections.abc import Iterator
from datetime import timedelta

import pytest
from rapport.consent.v1 import consent_pb2, ledger_pb2, purpose_pb2
from rapport_privacy.audience import PackedIds
from rapport_privacy.freshness import Freshness
from rapport_privacy.gate import Gate
from rapport_privacy.replica import Replica
from rapport_privacy.rules import decide
from rapport_privacy.snapshot import SnapshotLoad
from rapport_testing.clock import TestClock
from rapport_testing.ledger_model import BEGINNING, LedgerModel

STATUSES, EVIDENCE = range(7), range(5)  # with one of each that this release does not know
ENDS = (None, -1, 0, 1)  # microseconds from now
PURPOSES = {
    "consent": {"basis": purpose_pb2.LEGAL_BASIS_CONSENT},
    "explicit": {"basis": purpose_pb2.LEGAL_BASIS_CONSENT, "explicit": True},
    "interest": {"basis": purpose_pb2.LEGAL_BASIS_LEGITIMATE_INTEREST},
    "contract": {"basis": purpose_pb2.LEGAL_BASIS_CONTRACT},
}
WIDER = [None, (0, 1, None), (1, 1, None), (1, 3, None), (1, 2, 1), (1, 2, 0), (3, 0, None), (4, 0, 1), (6, 1, None)]

Made = tuple[int, int, int | None]
"""Status, evidence and end of a decision."""


def key_state(purpose: str, brand: str, made: Made, number: int) -> ledger_pb2.KeyState:
    status, evidence, end = made
    state = ledger_pb2.KeyState(
        purpose_id=purpose,
        brand_id=brand,
        status=status,  # type: ignore[arg-type] # numbers of a newer release, too
        evidence=evidence,  # type: ignore[arg-type] # likewise
        reference=f"cev_{number:022d}",
    )
    if end is not None:
        moment = BEGINNING + timedelta(microseconds=end)
        (state.expires_at if status == 1 else state.reask_not_before).FromDatetime(moment)
    return state


def subjects() -> Iterator[ledger_pb2.SubjectState]:
    """A person for each decision on the special key beside each on the wider one."""
    special = [None, *itertools.product(STATUSES, EVIDENCE, ENDS)]
    for number, (narrow, wide) in enumerate(itertools.product(special, WIDER)):
        states = [
            key_state(purpose, brand, made, number)
            for purpose in PURPOSES
            for brand, made in (("alba", narrow), ("", wide))
            if made is not None
        ]
        yield ledger_pb2.SubjectState(profile_id=f"prf_{number:010d}{12 * 'x'}", whole=True, states=states)


@pytest.fixture(scope="module")
def replica() -> Replica:
    """Everybody, packed."""
    ledger, load = LedgerModel(), SnapshotLoad()
    for purpose, terms in PURPOSES.items():
        ledger.define(purpose, active_from=BEGINNING - timedelta(days=1), **terms)  # type: ignore[arg-type]
    header, *_, purposes, _ = ledger.snapshot()
    everybody = list(subjects())
    load.take(header)
    load.take(purposes)
    load.take(consent_pb2.StreamSnapshotResponse(chunk=consent_pb2.SnapshotChunk(subjects=everybody)))
    trailer = consent_pb2.SnapshotTrailer(subjects=len(everybody))
    load.take(consent_pb2.StreamSnapshotResponse(trailer=trailer))
    replica = Replica()
    replica.load(load)
    assert len(replica.contents.block) == len(everybody)
    return replica


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_packed_decision_counts_as_the_rules_say(replica: Replica, purpose: str) -> None:
    clock, freshness = TestClock(BEGINNING), Freshness()
    freshness.head_read(clock.boottime(), 0, 0, clock.boottime())
    gate = Gate(replica, freshness, clock)
    everybody = sorted(replica.contents.subjects)
    answers = []
    for profile_id in everybody:
        subject = replica.contents.subjects[profile_id]
        verdict = decide(
            replica.contents.purposes[purpose], subject, erased=False, now=BEGINNING, brand_id="alba", market="DE"
        )
        decision = gate.check(profile_id, purpose, brand_id="alba", market="DE")
        assert decision[:4] == verdict[:4]
        assert decision.state == verdict.state
        answers.append(decision.permitted)
    assert gate.filter(PackedIds.of(everybody), purpose, brand_id="alba", market="DE").tolist() == answers
