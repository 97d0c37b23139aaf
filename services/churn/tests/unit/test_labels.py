"""Horizon and population come from the gaps; windows that are open are not told of; labels say what happened."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapport_churn.domain.facts import DAY
from rapport_churn.domain.features import Summary
from rapport_churn.domain.labels import (
    Gaps,
    Horizon,
    PopulationRule,
    TooFewGapsError,
    closed_cutoffs,
    derive,
)

HORIZON = Horizon(days=90, value_days=180, lateness_days=2)
NOW = 20_000 * DAY


def test_a_horizon_ends_when_most_who_come_back_are_back():
    gaps = Gaps({10: 600, 50: 250, 200: 150}, {})
    assert (gaps.back_within(0.6), gaps.back_within(0.61), gaps.back_within(0.95)) == (10, 50, 200)
    assert derive(gaps, {0: 995, 3: 5}) == (Horizon(60, 120, 1), PopulationRule(365))


def test_gaps_that_are_still_open_lengthen_the_horizon():
    closed = dict.fromkeys(range(1, 101), 100)
    alone, with_open = Gaps(closed, {}), Gaps(closed, {50: 5000})
    assert alone.back_within(0.7) == 70
    assert with_open.back_within(0.7) > 70


def test_what_arrives_late_keeps_windows_open_longer():
    gaps = Gaps({10: 100}, {})
    assert derive(gaps, {0: 98, 4: 2})[0].lateness_days == 5
    assert derive(gaps, {0: 1, 400: 99})[0].lateness_days == 30
    assert derive(gaps, {})[0].lateness_days == 1


def test_nothing_is_derived_from_a_few_gaps():
    with pytest.raises(TooFewGapsError):
        derive(Gaps({10: 49}, {3: 10_000}), {})


@given(
    st.dictionaries(st.integers(1, 700), st.integers(1, 50), min_size=1),
    st.dictionaries(st.integers(0, 700), st.integers(1, 50)),
)
@settings(max_examples=60, deadline=None)
def test_derived_rules_are_sound_for_any_gaps(closed, still_open):
    closed = closed | {20: 60}
    horizon, rule = derive(Gaps(closed, still_open), {})
    assert horizon.days in {30, 60, 90, 120, 150, 180}
    assert horizon.value_days >= horizon.days
    assert rule.active_days > horizon.days or rule.active_days == 730


@given(st.integers(0, 400), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_only_closed_windows_train(back_days, every_days):
    since = NOW - back_days * DAY
    cutoffs = closed_cutoffs(since, NOW, HORIZON, every_days)
    assert cutoffs == sorted(cutoffs)
    assert all(HORIZON.is_closed(each, NOW) and each >= since for each in cutoffs)
    assert bool(cutoffs) == (back_days >= 92)
    if cutoffs:
        assert not HORIZON.is_closed(cutoffs[-1] + 1, NOW)
        assert {(after - before) // DAY for before, after in pairwise(cutoffs)} <= {every_days}


def test_a_population_holds_those_who_bought_lately_and_often_enough():
    rule = PopulationRule(active_days=30, order_days=2)
    assert rule.admits(Summary(frequency=1, recency_days=10, tenure_days=40, mean_value=1.0))
    assert not rule.admits(Summary(frequency=1, recency_days=10, tenure_days=41, mean_value=1.0))
    assert not rule.admits(Summary(frequency=0, recency_days=0, tenure_days=3, mean_value=0.0))
    assert not rule.admits(None)
