"""The state of a profile: the same facts give the same state, and vectors mean what the declarations say."""

import math
import random

from churn_facts import START, histories, instants
from hypothesis import given, settings
from hypothesis import strategies as st
from rapport_churn.domain.facts import DAY, HOUR, Fact, FactKind
from rapport_churn.domain.features import DEFAULT_FEATURES, Summary
from rapport_churn.domain.state import ProfileState
from rapport_churn.domain.vectors import Plan

PLAN = Plan(DEFAULT_FEATURES)
EVER = START + 10_000 * DAY
NAMES = [each.name for each in DEFAULT_FEATURES]


def fact(number, kind, occurred_at, arrived_at=None, **others):
    arrived_at = occurred_at if arrived_at is None else arrived_at
    return Fact(f"evt_{number}", "prf_a", 1, kind, occurred_at, arrived_at, **others)


def bits(vector):
    return [value.hex() for value in vector]


def told(state, at):
    """All that a state tells at an instant and after everything, in bits."""
    vectors = [bits(state.vector(instant, known)) for instant in (at, EVER) for known in (at, EVER)]
    return vectors, state.summary(at, at), state.known_until, len(state)


@given(histories(("prf_a",), most=25), st.randoms(use_true_random=False), instants)
@settings(max_examples=60, deadline=None)
def test_facts_in_any_order_with_repeats_and_looks_in_between_give_the_same_state(facts, order, at):
    first = ProfileState(PLAN, facts)
    again = facts + order.sample(facts, len(facts) // 3)
    order.shuffle(again)
    second = ProfileState(PLAN)
    for each in again:
        second.apply(each)
        if order.random() < 0.3:
            second.vector(at, at)
    assert second == first
    assert told(second, at) == told(first, at)


@given(histories(("prf_a",), most=25), st.randoms(use_true_random=False), instants)
@settings(max_examples=60, deadline=None)
def test_a_withdrawn_fact_leaves_no_trace(facts, order, at):
    gone = set(order.sample([each.fact_id for each in facts], len(facts) // 2))
    state = ProfileState(PLAN, facts)
    state.vector(at, at)
    for fact_id in sorted(gone, key=lambda _: order.random()):
        assert state.withdraw(fact_id)
        assert not state.withdraw(fact_id)
    rest = ProfileState(PLAN, [each for each in facts if each.fact_id not in gone])
    assert state == rest
    assert told(state, at) == told(rest, at)


@given(histories(("prf_a",), most=25), instants, instants)
@settings(max_examples=60, deadline=None)
def test_only_what_had_happened_and_had_arrived_counts(facts, at, known_at):
    known = [each for each in facts if each.arrived_at <= known_at and each.occurred_at <= at]
    state, before = ProfileState(PLAN, facts), ProfileState(PLAN, known)
    assert bits(state.vector(at, known_at)) == bits(before.vector(at, EVER))
    assert state.summary(at, known_at) == before.summary(at, EVER)


def test_a_history_read_by_hand():
    now = START + 400 * DAY
    state = ProfileState(
        PLAN,
        [
            fact(1, FactKind.ORDER, now - 100 * DAY, value=1000, quantity=2, channel=1),
            fact(2, FactKind.ORDER, now - 40 * DAY, value=3000, quantity=1, channel=3),
            fact(3, FactKind.ORDER, now - 30 * DAY + HOUR, value=500, quantity=5, channel=3),
            fact(4, FactKind.ORDER, now - 30 * DAY, value=7, quantity=1, channel=2),
            fact(5, FactKind.RETURNED, now - 20 * DAY, value=1500),
            fact(6, FactKind.MESSAGE_DELIVERED, now - 9 * DAY),
            fact(7, FactKind.MESSAGE_OPENED, now - 8 * DAY),
            fact(8, FactKind.MESSAGE_DELIVERED, now - 7 * DAY),
            fact(9, FactKind.MESSAGE_DELIVERED, now - 6 * DAY),
            fact(10, FactKind.CONTACT_OPENED, now - 5 * DAY),
            fact(11, FactKind.CONTACT_CLOSED, now - 4 * DAY, value=0),
            fact(12, FactKind.FEEDBACK, now - 3 * DAY, value=250),
            fact(13, FactKind.ORDER, now + 1, value=10**6),
            fact(14, FactKind.ORDER, now - DAY, arrived_at=now + 1, value=10**6),
        ],
    )
    vector = dict(zip(NAMES, state.vector(now, now), strict=True))
    assert vector["orders_30"] == 1  # a window begins after its bound
    assert vector["orders_60"] == 3
    assert vector["orders_trend_30"] == (1 + 1) / (2 + 1)
    assert vector["spend_ever"] == 4507
    assert vector["basket_90"] == 3507 / 3
    assert vector["order_days_ever"] == 3
    assert vector["gap_last"] == 10
    assert vector["gap_mean"] == 35
    assert vector["gap_variation"] == math.sqrt(2 * (60**2 + 10**2) / 70**2 - 1)
    assert vector["overdue"] == (29 + 23 / 24) / 35
    assert vector["tenure"] == 100
    assert vector["last_channel"] == 3
    assert vector["online_share_365"] == 2 / 4
    assert vector["returned_share_ever"] == 1500 / 4507
    assert vector["messages_since_engaged"] == 2
    assert vector["opened_share_90"] == 1 / 3
    assert vector["contacts_open_365"] == 1
    assert vector["poor_feedback_90"] == 1
    assert vector["month"] == 6
    assert math.isnan(vector["days_since_visit"])
    assert state.summary(now, now) == Summary(frequency=2, recency_days=70, tenure_days=100, mean_value=3507 / 2)
    assert state.summary(now - 101 * DAY, now) is None


def test_a_long_history_told_late_is_as_one_told_in_order():
    draw = random.Random(7)
    facts = [
        fact(number, draw.choice(list(FactKind)), START + draw.randrange(300 * DAY), value=number)
        for number in range(3000)
    ]
    facts.sort(key=lambda each: each.occurred_at + draw.randrange(3) * DAY)
    state = ProfileState(PLAN)
    for each in facts:
        state.apply(each)
        if draw.random() < 0.01:
            state.vector(START + 300 * DAY, EVER)
    at = START + 150 * DAY
    assert told(state, at) == told(ProfileState(PLAN, reversed(facts)), at)
