"""The judge of the history check: it condemns each fault there is, acquits what is right, and reads ledgers rightly."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import inf
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapport.consent.v1 import consent_pb2, ledger_pb2, purpose_pb2
from rapport_testing.gate_history.chronicle import Chronicle, Question
from rapport_testing.gate_history.judge import Decision, Fault, Judge, Life, Windows
from rapport_testing.gate_history.people import PURPOSES, People
from rapport_testing.ledger_model import BEGINNING, DIRECT_MARKETING, LedgerModel, LedgerState

ANNA, BERT = "prf_anna", "prf_bert"
MAIL, ORDERS = Question(ANNA, "mail"), Question(ANNA, "orders")
PERMIT, DENY = consent_pb2.ANSWER_PERMIT, consent_pb2.ANSWER_DENY
WITHDRAWN = ledger_pb2.CONSENT_STATUS_WITHDRAWN
NOW = BEGINNING + timedelta(seconds=1)
BOUND_S, CONTINUATION_S = 2.0, 20.0


class Court:
    """A ledger whose commits come one at each full ten seconds, and a judge."""

    def __init__(self) -> None:
        self.ledger = LedgerModel()
        self.chronicle = Chronicle()
        self.judge = Judge(self.chronicle, Windows(BOUND_S, CONTINUATION_S))
        self.life = Life(newest_proof=lambda at: at - 0.1, loaded_at=0.0)
        self.ledger.define("mail", purpose_pb2.LEGAL_BASIS_CONSENT)
        self.ledger.define("orders", purpose_pb2.LEGAL_BASIS_CONTRACT)
        self.ledger.grant(ANNA, "mail")  # position 3, at 30 s
        self.record()

    def record(self) -> None:
        for change in self.ledger.written[len(self.chronicle.moments) :]:
            self.chronicle.record(change, earliest=10.0 * change.position, latest=10.0 * change.position)

    def faults(self, at: float, question: Question = MAIL, answer: int = PERMIT, **fields: Any) -> set[Fault]:
        known = {"epoch": self.ledger.epoch, "position": 3, **fields}
        return {*self.judge.judge(Decision(at, NOW, question, answer, **known), self.life)}


@pytest.fixture
def court() -> Court:
    return Court()


def test_what_the_ledger_permits_may_be_permitted(court: Court) -> None:
    assert court.faults(31.0) == set()
    assert (court.judge.decisions, court.judge.condemned) == (1, [])


def test_what_was_withdrawn_may_be_permitted_until_the_bound_and_not_from_then_on(court: Court) -> None:
    court.ledger.deny(ANNA, "mail", WITHDRAWN)
    court.record()
    assert court.faults(40.0 + BOUND_S - 0.01) == set()
    assert court.faults(40.0 + BOUND_S) == {Fault.LATE, Fault.OUTDATED}


def test_who_knows_of_a_withdrawal_may_permit_nothing(court: Court) -> None:
    court.ledger.deny(ANNA, "mail", WITHDRAWN)
    court.record()
    assert court.faults(40.5, position=4) == {Fault.WRONG}


def test_a_commit_of_uncertain_time_is_taken_for_as_late_as_it_can_have_been(court: Court) -> None:
    court.ledger.deny(ANNA, "mail", WITHDRAWN)
    court.chronicle.record(court.ledger.written[-1], earliest=40.0, latest=45.0)
    assert court.faults(45.0 + BOUND_S - 0.01) == set()
    assert Fault.LATE in court.faults(45.0 + BOUND_S)


def test_what_permits_by_luck_on_old_knowledge_is_outdated(court: Court) -> None:
    court.ledger.grant(BERT, "mail")
    court.record()
    assert court.faults(40.0 + BOUND_S) == {Fault.OUTDATED}


def test_a_grant_taken_back_and_given_again_is_no_late_permit(court: Court) -> None:
    court.ledger.deny(ANNA, "mail", WITHDRAWN)
    court.ledger.grant(ANNA, "mail")
    court.record()
    assert court.faults(51.0, position=5) == set()
    assert court.faults(51.0) == {Fault.OUTDATED}


def test_a_contract_goes_on_for_its_own_time(court: Court) -> None:
    court.ledger.restrict(ANNA)
    court.record()
    assert court.faults(40.0 + CONTINUATION_S - 0.01, ORDERS) == set()
    assert court.faults(40.0 + CONTINUATION_S, ORDERS) == {Fault.LATE, Fault.OUTDATED}


@pytest.mark.parametrize(("question", "window_s"), [(MAIL, BOUND_S), (ORDERS, CONTINUATION_S)])
def test_nothing_is_permitted_without_touch_with_the_ledger(court: Court, question: Question, window_s: float) -> None:
    court.life.newest_proof = lambda _: 50.0
    assert court.faults(50.0 + window_s - 0.01, question) == set()
    assert court.faults(50.0 + window_s, question) == {Fault.WITHOUT_PROOF}


def test_nothing_is_permitted_before_the_replica_was_loaded(court: Court) -> None:
    court.life.loaded_at = 31.0
    assert court.faults(30.9) == {Fault.COLD}
    assert court.faults(31.0) == set()


def test_nothing_is_permitted_through_a_fence_that_was_heard_of_whatever_the_position(court: Court) -> None:
    court.ledger.merge(ANNA, BERT)
    court.record()
    court.life.heard_fences[BERT] = 45.0
    assert court.faults(44.0, position=4) == set()
    assert court.faults(45.0, position=4) == {Fault.FENCED}
    assert court.faults(45.0, Question(BERT, "orders"), position=4) == {Fault.FENCED}


def test_a_token_must_be_met(court: Court) -> None:
    assert court.faults(31.0, at_least=("epoch-1", 3)) == set()
    assert court.faults(31.0, at_least=("epoch-1", 4)) == {Fault.TOKEN}
    assert court.faults(31.0, at_least=("epoch-0", 1)) == {Fault.TOKEN}


def test_a_position_must_exist(court: Court) -> None:
    assert court.faults(31.0, position=9) == {Fault.NOWHERE}
    assert court.faults(31.0, epoch="") == {Fault.NOWHERE}


def test_a_denial_by_the_newest_state_must_have_a_reason(court: Court) -> None:
    assert court.faults(31.0, answer=DENY) == {Fault.NEEDLESS}
    assert court.faults(31.0, answer=consent_pb2.ANSWER_DENY_STALE) == set()
    assert court.faults(31.0, Question(BERT, "mail"), DENY) == set()
    court.ledger.grant(BERT, "mail")
    court.record()
    assert court.faults(39.0, answer=DENY) == {Fault.NEEDLESS}
    assert court.faults(40.0, answer=DENY) == set()


def test_what_was_lost_in_a_restore_is_the_truth_no_more(court: Court) -> None:
    court.ledger.deny(ANNA, "mail", WITHDRAWN)
    court.record()
    court.ledger.restore(3, "epoch-2")
    court.chronicle.restore("epoch-2", 3, earliest=50.0, latest=50.0)
    assert court.faults(51.0) == set()
    assert court.faults(51.0, epoch="epoch-1", position=4) == {Fault.WRONG}
    assert court.faults(50.0 + BOUND_S, epoch="epoch-1") == {Fault.OUTDATED}


def test_the_first_condemned_are_kept(court: Court) -> None:
    for at in range(100):
        court.faults(31.0 + at, position=9)
    assert court.judge.faults == {Fault.NOWHERE: 100}
    assert 0 < len(court.judge.condemned) < 100


def test_a_chronicle_refuses_what_does_not_follow(court: Court) -> None:
    court.ledger.grant(BERT, "mail")
    court.ledger.grant(BERT, "orders")
    with pytest.raises(ValueError, match="does not follow"):
        court.chronicle.record(court.ledger.written[-1], earliest=50.0, latest=50.0)
    with pytest.raises(ValueError, match="before"):
        court.chronicle.record(court.ledger.written[-2], earliest=1.0, latest=inf)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32), wall_s=st.integers(0, 100_000))
def test_a_chronicle_says_what_the_ledger_says(seed: int, wall_s: int) -> None:
    """Of each moment, restores included: two readings of it that share nothing but the messages."""
    random, ledger, chronicle = Random(seed), LedgerModel(), Chronicle()
    people = People(ledger, random)
    asked: set[Question] = set()
    states: list[LedgerState] = []
    recorded = 0
    for act in range(120):
        people.act()
        asked.update(people.questions())
        for change in ledger.written[recorded:]:
            chronicle.record(change, earliest=act, latest=act)
            states.append(ledger.states[change.position])
        if random.random() < 0.05:
            ledger.restore(max(len(PURPOSES), ledger.position - 5), f"restored-{act}")
            chronicle.restore(ledger.epoch, ledger.position, earliest=act, latest=act)
            states.append(ledger.state)
        recorded = ledger.position
    wall = BEGINNING + timedelta(seconds=wall_s)
    for number, state in enumerate(states):
        for question in asked:
            assert chronicle.closure(number, question.person) == state.closure(question.person)
            assert chronicle.permits(number, question, wall) == permits(state, question, wall)


def permits(state: LedgerState, question: Question, wall: datetime) -> bool:
    """Whether the state of the model permits: told as a chain of reasons to deny."""
    purpose = state.purposes.get(question.purpose)
    rules = [rule for rule in purpose.rules if rule.active_from.seconds <= wall.timestamp()] if purpose else []
    if purpose is None or purpose.retired or not rules or state.closure(question.person) & state.fences:
        return False
    terms = max(rules, key=lambda rule: (rule.active_from.ToNanoseconds(), rule.version)).terms
    if state.current(question.person) in state.restricted and not terms.despite_restriction:
        return False
    if question.purpose in ("orders", "books"):
        return True
    names = [question.purpose, DIRECT_MARKETING] if PURPOSES[question.purpose].get("direct_marketing") else ["research"]
    keys = state.keys.get(state.current(question.person), {})
    decided = [keys[name, brand] for name in names for brand in (question.brand, "") if (name, brand) in keys]
    if not decided:
        return question.purpose == "profiling"
    expires = decided[0].expires_at.ToNanoseconds() if decided[0].HasField("expires_at") else inf
    granted = decided[0].status == ledger_pb2.CONSENT_STATUS_GRANTED
    return granted and (question.purpose == "profiling" or expires > wall.timestamp() * 1e9)
