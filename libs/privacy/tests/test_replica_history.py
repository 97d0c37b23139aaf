"""Any history of a ledger, delivered in any order: the replica beside a model that folds nothing but whole states."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from rapport.consent.v1 import ledger_pb2, purpose_pb2
from rapport_privacy.freshness import Freshness
from rapport_privacy.gate import Gate
from rapport_privacy.merging import Merge
from rapport_privacy.replica import Applied, Replica
from rapport_privacy.snapshot import SnapshotLoad
from rapport_privacy.vocabulary import Answer
from rapport_testing.clock import TestClock
from rapport_testing.ledger_model import BEGINNING, DIRECT_MARKETING, LedgerModel, LedgerState
from rapport_testing.ledger_sources import portrait
from rapport_testing.prove import Scale

# Two that columns can hold, and two more that are too alike to be held together.
PEOPLE = ("prf_" + 22 * "a", "prf_" + 22 * "b", "prf_" + 22 * "c", "prf_" + 21 * "c" + "d")
BRANDS = ("", "alba", "boreal")
PURPOSES: dict[str, dict[str, Any]] = {
    "mail": {"basis": purpose_pb2.LEGAL_BASIS_CONSENT, "brand_scoped": True, "direct_marketing": True},
    "profiling": {"basis": purpose_pb2.LEGAL_BASIS_LEGITIMATE_INTEREST, "direct_marketing": True},
    "research": {"basis": purpose_pb2.LEGAL_BASIS_CONSENT},
    "claims": {"basis": purpose_pb2.LEGAL_BASIS_CONTRACT, "despite_restriction": True},
}
CHECKS = (
    ("mail", "alba"),
    ("mail", "boreal"),
    ("profiling", ""),
    ("profiling", "alba"),
    ("research", ""),
    ("claims", ""),
)
QUESTIONS = [(person, *check) for person in PEOPLE for check in CHECKS]
CHOSEN = ("mail", "profiling", "research")
GRANTED = ledger_pb2.CONSENT_STATUS_GRANTED
DENIALS = (
    ledger_pb2.CONSENT_STATUS_REFUSED,
    ledger_pb2.CONSENT_STATUS_WITHDRAWN,
    ledger_pb2.CONSENT_STATUS_OBJECTED,
    ledger_pb2.CONSENT_STATUS_OPTED_OUT,
)

Answers = dict[tuple[str, str, str], int]

people = st.sampled_from(PEOPLE)
purposes = st.sampled_from(CHOSEN)
refusable = st.sampled_from((*CHOSEN, DIRECT_MARKETING))
brands = st.sampled_from(BRANDS)


def chain(purpose: str, brand: str) -> list[tuple[str, str]]:
    """Keys of a check, the most special first."""
    keys = [(purpose, brand), (purpose, "")]
    if PURPOSES[purpose].get("direct_marketing"):
        keys += [(DIRECT_MARKETING, brand), (DIRECT_MARKETING, "")]
    return keys


def permits(state: LedgerState, person: str, purpose: str, brand: str) -> bool:
    """Whether the ledger permits, read off its state."""
    survivor = state.current(person)
    if state.closure(person) & state.fences or purpose not in state.purposes or state.purposes[purpose].retired:
        return False
    if purpose == "claims":
        return True
    if survivor in state.restricted:
        return False
    known = [state.keys.get(survivor, {}).get(key) for key in chain(purpose, brand)]
    decided = [key.status for key in known if key is not None]
    if purpose == "profiling":
        return not decided or decided[0] == GRANTED
    return bool(decided) and decided[0] == GRANTED


class ReplicaHistory(RuleBasedStateMachine):
    """Writes, restores and deliveries in any order."""

    @initialize(early_start=st.booleans())
    def begin(self, early_start: bool) -> None:
        self.ledger = LedgerModel()
        for purpose, terms in PURPOSES.items():
            self.ledger.define(purpose, active_from=BEGINNING - timedelta(days=1), **terms)
        self.sent: list[ledger_pb2.LedgerChange] = []
        self.heard: dict[tuple[str, int], ledger_pb2.LedgerChange] = {}
        self.clock = TestClock(BEGINNING)
        self.replica = Replica()
        self.merging: Iterator[None] = iter(())
        freshness = Freshness()
        freshness.head_read(self.clock.boottime(), 0, 0, self.clock.boottime())
        self.gate = Gate(self.replica, freshness, self.clock)
        if early_start:
            self.load(1.0)

    # What happens to the ledger.

    @rule(person=people, purpose=purposes, brand=brands)
    def grant(self, person: str, purpose: str, brand: str) -> None:
        self.ledger.grant(person, purpose, brand)
        self.sent.append(self.ledger.written[-1])

    @rule(person=people, purpose=refusable, brand=brands, status=st.sampled_from(DENIALS))
    def deny(self, person: str, purpose: str, brand: str, status: int) -> None:
        self.ledger.deny(person, purpose, status, brand)
        self.sent.append(self.ledger.written[-1])

    @rule(person=people, in_force=st.booleans())
    def restrict(self, person: str, in_force: bool) -> None:
        self.ledger.restrict(person, in_force=in_force)
        self.sent.append(self.ledger.written[-1])

    @rule(survivor=people, absorbed=people)
    def merge(self, survivor: str, absorbed: str) -> None:
        self.ledger.merge(survivor, absorbed)
        self.sent.append(self.ledger.written[-1])

    @rule(person=people)
    def split(self, person: str) -> None:
        self.ledger.split(person)
        self.sent.append(self.ledger.written[-1])

    @rule(person=people, rarely=st.integers(0, 9))
    def erase(self, person: str, rarely: int) -> None:
        if rarely == 0:
            self.ledger.fence(person)
            self.sent.append(self.ledger.written[-1])

    @rule(purpose=purposes, rarely=st.integers(0, 9))
    def retire(self, purpose: str, rarely: int) -> None:
        if rarely == 0:
            self.ledger.retire(purpose)
            self.sent.append(self.ledger.written[-1])

    @rule(back=st.integers(0, 5), rarely=st.integers(0, 9))
    def restore(self, back: int, rarely: int) -> None:
        """Another epoch: the ledger has gone back, and the head has told the replica."""
        if rarely == 0:
            position = max(len(PURPOSES), self.ledger.position - back)
            self.ledger.restore(position, f"restored-{len(self.ledger.epochs)}")
            self.replica.chill()

    # What reaches the replica.

    @precondition(lambda self: self.sent)
    @rule(which=st.floats(0, 1))
    def deliver_any(self, which: float) -> None:
        """Late, twice, too early, of another epoch."""
        self.deliver(self.sent[int(which * (len(self.sent) - 1))])

    @rule()
    def deliver_the_next(self) -> None:
        following = [change for change in self.sent if change.position == self.replica.position + 1]
        if following:
            self.deliver(following[-1])

    @rule()
    def deliver_the_newest(self) -> None:
        if self.sent:
            self.deliver(self.sent[-1])

    @precondition(lambda self: not self.replica.warm)
    @rule(where=st.floats(0, 1))
    def load(self, where: float) -> None:
        """A snapshot of the present or of an earlier position."""
        first = len(PURPOSES)
        position = first + int(where * (self.ledger.position - first))
        snapshot = SnapshotLoad()
        for message in self.ledger.snapshot(position):
            snapshot.take(message)
        self.replica.load(snapshot)

    # What the replica does by itself, for which nothing may change.

    @rule()
    def begin_to_merge(self) -> None:
        merge = Merge(self.replica.contents, self.replica.fences)
        merge.pack()
        self.merging = merge.finish()

    @rule()
    def go_on_merging(self) -> None:
        next(self.merging, None)

    def deliver(self, change: ledger_pb2.LedgerChange) -> None:
        applied = self.replica.apply(change)
        self.heard[change.epoch, change.position] = change
        if self.replica.warm:
            assert (applied is Applied.FOREIGN) == (change.epoch != self.ledger.epoch)

    # What must hold at any time.

    @invariant()
    def no_answer_is_wrong_in_the_dangerous_direction(self) -> None:
        answers = self.answers()
        self.check_fences(answers)
        if self.replica.warm:
            self.check_against_the_prefix(answers)
            self.check_early_negatives(answers)
        else:
            assert Answer.PERMIT not in answers.values()

    def check_fences(self, answers: Answers) -> None:
        """A fence holds from the moment it is heard of."""
        fenced = {fence.profile_id for change in self.heard.values() for fence in change.fences}
        assert fenced <= self.replica.fences
        assert {answers[question] for question in QUESTIONS if question[0] in fenced} <= {Answer.DENY_FENCED}

    def check_against_the_prefix(self, answers: Answers) -> None:
        """The replica says what the ledger said at the prefix, or denies because of something beyond it."""
        state = self.ledger.states[self.replica.position]
        may_differ = self.early_negatives() or self.replica.fences - state.fences
        for question, answer in answers.items():
            expected = permits(state, *question)
            if (answer == Answer.PERMIT) != expected:
                assert expected
                assert may_differ

    def check_early_negatives(self, answers: Answers) -> None:
        """What was heard of denies at once, for the id named and the id that stands for it."""
        for change in self.early_negatives():
            for subject in change.subjects:
                ids = {subject.profile_id, change.named_id}
                touched = {(state.purpose_id, state.brand_id) for state in subject.states}
                for (person, purpose, brand), answer in answers.items():
                    concerned = subject.restriction.in_force or touched & {*chain(purpose, brand)}
                    if person in ids and purpose != "claims" and concerned:
                        assert answer != Answer.PERMIT

    def early_negatives(self) -> list[ledger_pb2.LedgerChange]:
        """Heard of, beyond the prefix, and nothing but negative."""
        return [
            change
            for change in self.heard.values()
            if self.replica.warm
            and change.epoch == self.ledger.epoch
            and change.position > self.replica.position
            and change.subjects
            and not change.purposes
            and all(subject.states or subject.HasField("restriction") for subject in change.subjects)
            and all(state.status in DENIALS for subject in change.subjects for state in subject.states)
            and all(subject.restriction.in_force for subject in change.subjects if subject.HasField("restriction"))
        ]

    def answers(self) -> Answers:
        return {
            (person, purpose, brand): self.gate.check(person, purpose, brand_id=brand).answer
            for person, purpose, brand in QUESTIONS
        }

    def teardown(self) -> None:
        """After quiet, the replica is the ledger."""
        if not self.replica.warm:
            self.load(0.0)
        for change in self.ledger.changes[self.replica.position :]:
            self.deliver(change)
        assert (self.replica.position, self.replica.lag_positions) == (self.ledger.position, 0)
        assert not self.replica.early.changes
        anew = Replica()
        snapshot = SnapshotLoad()
        for message in self.ledger.snapshot():
            snapshot.take(message)
        anew.load(snapshot)
        anew.fences.update(self.replica.fences)
        assert portrait(self.replica) == portrait(anew)
        for question, answer in self.answers().items():
            fenced = self.ledger.state.closure(question[0]) & self.replica.fences
            assert (answer == Answer.PERMIT) == (permits(self.ledger.state, *question) and not fenced)


def test_no_history_in_any_order_makes_the_replica_wrong_in_the_dangerous_direction(scale: Scale) -> None:
    run_state_machine_as_test(
        ReplicaHistory,
        settings=settings(
            max_examples=scale.pick(small=60, full=2000),
            stateful_step_count=40,
            deadline=None,
            phases=set(Phase) - {Phase.explain},
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
