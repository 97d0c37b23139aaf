"""The gate: freshness, tokens and what overrides them."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from rapport.consent.v1 import ledger_pb2, purpose_pb2
from rapport_chassis.errors import RapportError
from rapport_privacy.decision import Decision
from rapport_privacy.freshness import BOUND_S, CONTINUATION_S, Freshness
from rapport_privacy.gate import Gate
from rapport_privacy.ports import LedgerHead
from rapport_privacy.replica import Replica
from rapport_privacy.snapshot import SnapshotLoad
from rapport_privacy.vocabulary import Answer, Basis, Reason
from rapport_testing.clock import TestClock
from rapport_testing.ledger_model import BEGINNING, LedgerModel

ANNA = "prf_anna"
WITHDRAWN = ledger_pb2.CONSENT_STATUS_WITHDRAWN
OBJECTED = ledger_pb2.CONSENT_STATUS_OBJECTED
PURPOSES = {
    "mail": purpose_pb2.LEGAL_BASIS_CONSENT,
    "orders": purpose_pb2.LEGAL_BASIS_CONTRACT,
    "invoices": purpose_pb2.LEGAL_BASIS_LEGAL_OBLIGATION,
    "rescue": purpose_pb2.LEGAL_BASIS_VITAL_INTEREST,
    "care": purpose_pb2.LEGAL_BASIS_PUBLIC_TASK,
    "insight": purpose_pb2.LEGAL_BASIS_LEGITIMATE_INTEREST,
}
CONTINUING = {"orders", "invoices"}


class World:
    """A gate over a model ledger, with hands on everything."""

    def __init__(self) -> None:
        self.ledger = LedgerModel()
        for purpose, basis in PURPOSES.items():
            self.ledger.define(purpose, basis, active_from=BEGINNING - timedelta(days=1))
        self.ledger.grant(ANNA, "mail")
        self.clock = TestClock(BEGINNING)
        self.replica = Replica()
        self.freshness = Freshness()
        self.gate = Gate(self.replica, self.freshness, self.clock)

    def load(self) -> None:
        snapshot = SnapshotLoad()
        for message in self.ledger.snapshot():
            snapshot.take(message)
        self.replica.load(snapshot)

    def refresh(self) -> None:
        now = self.clock.boottime()
        self.freshness.head_read(now, self.ledger.position, self.replica.position, now)

    def follow(self) -> None:
        for change in self.ledger.changes[self.replica.position :]:
            self.replica.apply(change)
        self.refresh()

    def check(self, purpose: str, person: str = ANNA) -> Decision:
        return self.gate.check(person, purpose)

    def permitted(self) -> set[str]:
        return {purpose for purpose in PURPOSES if self.check(purpose)}


@pytest.fixture
def world() -> World:
    """Loaded and fresh."""
    world = World()
    world.load()
    world.refresh()
    return world


def test_a_fresh_gate_answers_with_all_that_explains_it(world: World) -> None:
    decision = world.check("mail")
    assert (decision.answer, decision.reason, decision.basis) == (Answer.PERMIT, Reason.GRANTED, Basis.CONSENT)
    assert (decision.epoch, decision.position) == (world.ledger.epoch, world.ledger.position)
    assert (decision.profile_id, decision.purpose_version) == (ANNA, 1)
    assert decision.reference == world.ledger.state.keys[ANNA]["mail", ""].reference
    assert (decision.as_of, decision.staleness_s, decision.granting_ids) == (BEGINNING, 0, (ANNA,))
    assert decision
    assert decision.permitted


def test_an_answer_that_is_no_permit_is_false_in_a_condition(world: World) -> None:
    decision = world.check("mail", "prf_nobody")
    assert not decision
    assert not decision.permitted
    assert (decision.reference, decision.notice_id, decision.notice_version, decision.evidence) == ("", "", 0, 0)
    assert (decision.expires_at, decision.reask_not_before, decision.granting_ids) == (None, None, ())


def test_a_cold_gate_denies_every_purpose_and_the_unknown_one() -> None:
    world = World()
    world.freshness.head_read(world.clock.boottime(), 0, 0, world.clock.boottime())
    for purpose in (*PURPOSES, "unheard-of"):
        assert world.check(purpose)[:2] == (Answer.DENY_STALE, Reason.COLD)


def test_a_gate_that_was_never_fresh_permits_nothing() -> None:
    world = World()
    world.load()
    assert world.permitted() == set()
    assert world.check("orders")[:2] == (Answer.DENY_STALE, Reason.STALE)
    assert world.gate.staleness_s == float("inf")


def test_a_gate_is_stale_from_the_bound_on_and_only_contract_and_duty_go_on(world: World) -> None:
    world.clock.advance(BOUND_S - 0.001)
    assert world.permitted() == set(PURPOSES)
    world.clock.advance(0.001)
    assert world.permitted() == CONTINUING
    assert world.check("mail")[:2] == (Answer.DENY_STALE, Reason.STALE)
    assert world.check("unheard-of")[:2] == (Answer.DENY_STALE, Reason.STALE)
    assert world.check("orders").staleness_s == pytest.approx(BOUND_S)


def test_contract_and_duty_end_fifteen_minutes_after_the_last_freshness(world: World) -> None:
    world.clock.advance(CONTINUATION_S - 0.001)
    assert world.permitted() == CONTINUING
    world.clock.advance(0.001)
    assert world.permitted() == set()


def test_a_paused_process_wakes_up_stale(world: World) -> None:
    world.ledger.deny(ANNA, "mail", WITHDRAWN)
    world.clock.advance(3600)
    assert world.permitted() == set()


@pytest.mark.parametrize("step", [timedelta(days=-400), timedelta(hours=-1), timedelta(hours=1)])
def test_a_step_of_the_wall_clock_neither_prolongs_nor_ends_freshness(world: World, step: timedelta) -> None:
    assert world.check("insight")
    world.clock.set(world.clock.now() + step)
    assert world.check("insight").answer == (Answer.PERMIT if step > timedelta(days=-1) else Answer.DENY)
    world.clock.advance(BOUND_S)
    assert not world.check("insight")


@pytest.mark.parametrize("stale_for", [0, BOUND_S, CONTINUATION_S])
def test_fences_come_before_staleness(world: World, stale_for: float) -> None:
    world.ledger.restrict(ANNA)
    world.ledger.fence("prf_bert")
    world.follow()
    world.clock.advance(stale_for)
    for purpose in PURPOSES:
        assert world.check(purpose)[:2] == (Answer.DENY_FENCED, Reason.RESTRICTED)
        assert world.check(purpose, "prf_bert")[:2] == (Answer.DENY_FENCED, Reason.ERASED)


def test_a_fence_holds_in_a_cold_gate_and_through_an_epoch(world: World) -> None:
    world.ledger.fence(ANNA)
    world.follow()
    world.replica.chill()
    assert world.check("orders")[:2] == (Answer.DENY_FENCED, Reason.ERASED)
    world.ledger.restore(len(PURPOSES) + 1, "epoch-2")
    world.load()
    world.refresh()
    assert world.check("orders")[:2] == (Answer.DENY_FENCED, Reason.ERASED)


def test_a_fence_around_the_survivor_holds_for_the_absorbed(world: World) -> None:
    world.ledger.merge(ANNA, "prf_bert")
    world.follow()
    assert world.check("mail", "prf_bert").profile_id == ANNA
    world.ledger.fence("prf_bert")
    world.follow()
    for person in (ANNA, "prf_bert"):
        assert world.check("orders", person).reason == Reason.ERASED


def test_a_fence_around_the_absorbed_holds_for_the_survivor_until_they_are_parted(world: World) -> None:
    world.ledger.fence("prf_bert")
    world.ledger.merge(ANNA, "prf_bert")
    world.follow()
    for person in (ANNA, "prf_bert"):
        assert world.check("orders", person).reason == Reason.ERASED
    world.ledger.split("prf_bert")
    world.follow()
    assert world.check("orders", ANNA).answer == Answer.PERMIT
    assert world.check("orders", "prf_bert").reason == Reason.ERASED


@pytest.mark.parametrize("purpose", list(PURPOSES))
def test_a_token_that_is_not_reached_denies_whatever_the_basis(world: World, purpose: str) -> None:
    def answer(epoch: str, position: int) -> tuple[int, int]:
        decision = world.gate.check(ANNA, purpose, at_least=LedgerHead(epoch, position))
        return decision.answer, decision.reason

    unmet = (Answer.DENY_STALE, Reason.TOKEN_UNMET)
    assert answer(world.ledger.epoch, world.replica.position)[0] == Answer.PERMIT
    assert answer(world.ledger.epoch, world.replica.position + 1) == unmet
    assert answer("another", 1) == unmet


def test_a_restriction_that_may_be_lifted_by_the_write_of_a_token_is_no_answer_to_it(world: World) -> None:
    world.ledger.restrict(ANNA)
    world.follow()
    world.ledger.restrict(ANNA, in_force=False)
    token = LedgerHead(world.ledger.epoch, world.ledger.position)
    assert world.check("mail", ANNA).reason == Reason.RESTRICTED
    assert world.gate.check(ANNA, "mail", at_least=token).reason == Reason.TOKEN_UNMET
    world.follow()
    assert world.gate.check(ANNA, "mail", at_least=token).answer == Answer.PERMIT


def test_a_withdrawal_holds_at_once_for_a_call_with_its_token(world: World) -> None:
    world.ledger.deny(ANNA, "mail", WITHDRAWN)
    token = LedgerHead(world.ledger.epoch, world.ledger.position)
    assert world.gate.check(ANNA, "mail").answer == Answer.PERMIT
    assert world.gate.check(ANNA, "mail", at_least=token).answer == Answer.DENY_STALE
    world.follow()
    assert world.gate.check(ANNA, "mail", at_least=token).reason == Reason.WITHDRAWN


def test_an_early_negative_denies_every_id_of_the_person_and_yields_to_the_prefix(world: World) -> None:
    world.ledger.merge(ANNA, "prf_bert")
    world.ledger.merge(ANNA, "prf_dora")
    world.follow()
    world.ledger.grant("prf_carl", "mail")
    world.ledger.deny("prf_bert", "insight", OBJECTED)
    world.ledger.grant(ANNA, "insight")
    objection, grant = world.ledger.changes[-2:]
    world.replica.apply(objection)
    for person in (ANNA, "prf_bert", "prf_dora"):
        assert world.check("insight", person).reason == Reason.OBJECTED
        assert world.check("mail", person)
        assert world.check("orders", person)
    world.replica.apply(grant)
    assert not world.check("insight")
    world.replica.apply(world.ledger.changes[-3])
    assert world.check("insight").reason == Reason.BASIS


def test_the_newest_early_negative_of_a_key_outlives_an_older_one_that_came_after_it(world: World) -> None:
    position = world.ledger.position
    world.ledger.deny(ANNA, "mail", WITHDRAWN)
    world.ledger.deny(ANNA, "mail", OBJECTED)
    world.ledger.grant(ANNA, "mail")
    world.ledger.grant("prf_carl", "mail")
    world.ledger.deny(ANNA, "mail", WITHDRAWN)
    first, older, grant, _, newest = world.ledger.changes[position:]
    for change in (newest, older, first, grant):
        world.replica.apply(change)
    assert world.replica.position == position + 3
    assert world.check("mail").reason == Reason.WITHDRAWN


def test_a_change_that_also_grants_is_not_applied_early(world: World) -> None:
    world.ledger.grant("prf_carl", "mail")
    world.ledger.deny(ANNA, "mail", WITHDRAWN)
    mixed = world.ledger.changes[-1]
    mixed.subjects[0].states.add(purpose_id="insight", status=ledger_pb2.CONSENT_STATUS_GRANTED)
    world.replica.apply(mixed)
    assert world.check("mail").reason == Reason.GRANTED


def test_an_early_restriction_fences_until_the_prefix_has_lifted_it(world: World) -> None:
    world.ledger.grant("prf_carl", "mail")
    world.ledger.restrict(ANNA)
    world.ledger.restrict(ANNA, in_force=False)
    world.replica.apply(world.ledger.changes[-2])
    assert world.check("orders").reason == Reason.RESTRICTED
    world.replica.apply(world.ledger.changes[-1])
    assert world.check("orders").reason == Reason.RESTRICTED
    world.replica.apply(world.ledger.changes[-3])
    assert world.check("orders")


def test_the_newest_early_restriction_outlives_an_older_one_that_came_after_it(world: World) -> None:
    position = world.ledger.position
    world.ledger.restrict(ANNA)
    world.ledger.grant("prf_carl", "mail")
    world.ledger.restrict(ANNA)
    world.ledger.restrict(ANNA, in_force=False)
    world.ledger.grant("prf_carl", "mail")
    world.ledger.restrict(ANNA)
    first, second, older, lifted, _, newest = world.ledger.changes[position:]
    for change in (newest, older, first, second, lifted):
        world.replica.apply(change)
    assert world.replica.position == position + 4
    assert world.check("mail").reason == Reason.RESTRICTED


def test_an_early_negative_ends_with_its_epoch(world: World) -> None:
    position = world.ledger.position
    world.ledger.grant("prf_carl", "mail")
    world.ledger.deny(ANNA, "mail", WITHDRAWN)
    world.replica.apply(world.ledger.changes[-1])
    assert not world.check("mail")
    world.replica.chill()
    world.ledger.restore(position, "epoch-2")
    world.load()
    world.refresh()
    assert world.check("mail")


def test_changes_kept_aside_end_with_their_epoch(world: World) -> None:
    position = world.ledger.position
    for _ in range(2):
        world.ledger.grant("prf_carl", "mail")
    world.replica.apply(world.ledger.changes[-1])
    world.replica.chill()
    world.ledger.restore(position, "epoch-2")
    world.load()
    world.ledger.grant("prf_bert", "mail")
    world.follow()
    assert world.replica.position == world.ledger.position
    assert not world.check("mail", "prf_carl")


def test_nothing_is_kept_of_an_erased_person_under_any_id(world: World) -> None:
    world.ledger.merge(ANNA, "prf_bert")
    world.ledger.restrict(ANNA)
    world.ledger.fence("prf_bert")
    world.follow()
    assert {ANNA, "prf_bert"}.isdisjoint(world.replica.contents.subjects)


def test_a_change_of_a_purpose_takes_hold_at_its_time(world: World) -> None:
    assert world.check("insight", "prf_nobody")
    world.ledger.define("insight", purpose_pb2.LEGAL_BASIS_CONSENT, active_from=BEGINNING + timedelta(seconds=1))
    world.follow()
    assert world.check("insight", "prf_nobody")
    world.clock.advance(1)
    assert world.check("insight", "prf_nobody")[:2] == (Answer.DENY, Reason.NO_DECISION)
    world.ledger.retire("insight")
    world.follow()
    assert world.check("insight", "prf_nobody").reason == Reason.PURPOSE_INACTIVE


def test_a_grant_expires_at_the_instant_of_its_expiry(world: World) -> None:
    world.ledger.grant(ANNA, "mail", expires_at=BEGINNING + timedelta(seconds=1))
    world.follow()
    assert world.check("mail")
    world.clock.advance(1)
    assert world.check("mail").reason == Reason.EXPIRED


def test_many_are_answered_in_their_order(world: World) -> None:
    people = ["prf_nobody", ANNA, "prf_nobody"]
    assert [bool(decision) for decision in world.gate.check_many(people, "mail")] == [False, True, False]


@pytest.mark.parametrize("ask", [lambda gate: gate.check(ANNA, "club"), lambda gate: gate.check_many([ANNA], "club")])
def test_a_missing_brand_is_the_callers_fault_each_time(world: World, ask: Callable[[Gate], object]) -> None:
    world.ledger.define(
        "club", purpose_pb2.LEGAL_BASIS_CONSENT, active_from=BEGINNING - timedelta(days=1), brand_scoped=True
    )
    world.follow()
    for _ in range(2):
        with pytest.raises(RapportError, match="BRAND_REQUIRED"):
            ask(world.gate)
    assert world.gate.check(ANNA, "club", brand_id="alba").reason == Reason.NO_DECISION


def test_lag_is_what_is_heard_of_and_not_applied(world: World) -> None:
    for _ in range(3):
        world.ledger.grant(ANNA, "mail")
    world.replica.apply(world.ledger.changes[-1])
    assert world.gate.lag_positions == 3
    world.follow()
    assert world.gate.lag_positions == 0
