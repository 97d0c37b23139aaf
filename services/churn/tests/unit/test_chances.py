"""Chances over time, their calibration, and what is expected of them before labels arrive."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_churn.domain.calibration import (
    Calibrator,
    area,
    calibration_error,
    chances,
    intercept_for,
    log_loss,
    noise_floor,
)
from rapport_churn.domain.quality import expect, hold_against
from rapport_churn.domain.stack import Member, Stack
from rapport_churn.domain.survival import Hazard, learn_hazard
from sklearn import metrics

waits = st.lists(st.one_of(st.floats(0.01, 90.0), st.just(float("inf"))), min_size=1, max_size=60)


@given(waits, st.floats(-12, 12), st.floats(0.5, 400), st.floats(0.5, 400))
def test_a_longer_time_is_never_less_likely_to_bring_somebody_back(next_days, log_odds, one, other):
    hazard = learn_hazard(np.array(next_days), 90)
    near, far = sorted((one, other))
    assert hazard.churn(log_odds, near) >= hazard.churn(log_odds, far)


@given(waits, st.floats(-12, 12), st.floats(-12, 12), st.floats(0.5, 400))
def test_who_is_more_likely_to_leave_is_so_for_every_time(next_days, one, other, days):
    hazard = learn_hazard(np.array(next_days), 90)
    low, high = sorted((one, other))
    assert hazard.churn(low, days) <= hazard.churn(high, days)


@given(waits, st.floats(-12, 12))
def test_at_the_horizon_the_chance_is_the_score(next_days, log_odds):
    hazard = learn_hazard(np.array(next_days), 90)
    assert hazard.churn(log_odds, 90) == pytest.approx(float(chances(np.array(log_odds))), abs=1e-12)


def test_the_curve_gives_the_shares_that_were_seen():
    draw = np.random.default_rng(1)
    waits = draw.exponential(60.0, 20_000)
    hazard = learn_hazard(np.where(waits > 90, np.inf, waits), 90)
    at_horizon = np.mean(waits > 90)
    odds = float(np.log(at_horizon / (1 - at_horizon)))
    for days in (30, 45, 60):
        assert hazard.churn(odds, days) == pytest.approx(np.mean(waits > days), abs=0.01)


def test_a_curve_that_falls_is_refused():
    with pytest.raises(ValueError, match="rises"):
        Hazard(90, (30.0, 90.0), (0.9, 0.8))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=2, max_size=60))
def test_the_area_is_that_of_scikit_learn(rows):
    labels = np.array([float(label) for label, _ in rows])
    scores = np.array([float(score) for _, score in rows])
    if 0 < labels.mean() < 1:
        assert area(labels, scores) == pytest.approx(metrics.roc_auc_score(labels, scores))
    else:
        with pytest.raises(ValueError, match="both labels"):
            area(labels, scores)


def test_log_loss_is_that_of_scikit_learn():
    odds, labels = np.array([-3.0, 0.2, 4.0, -0.5]), np.array([0.0, 1.0, 1.0, 1.0])
    assert log_loss(labels, odds) == pytest.approx(metrics.log_loss(labels, 1 / (1 + np.exp(-odds))))


def test_chances_that_mean_what_they_say_err_no_more_than_chance_does():
    draw = np.random.default_rng(2)
    chance = draw.beta(2, 3, 4000)
    labels = (draw.random(4000) < chance).astype(float)
    floor = noise_floor(chance, seed=1)
    assert calibration_error(labels, chance) < 1.6 * floor
    assert calibration_error(labels, np.clip(chance + 0.1, 0, 1)) > 3 * floor


def test_a_shift_brings_the_mean_chance_to_the_share():
    odds = np.linspace(-3, 3, 200)
    labels = (np.arange(200) % 4 == 0).astype(float)
    assert chances(odds + intercept_for(labels, odds)).mean() == pytest.approx(0.25)


def test_a_calibrator_never_turns_the_order_round():
    with pytest.raises(ValueError, match="rises"):
        Calibrator(slope=-0.1)


def test_the_weights_of_a_stack_sum_to_one():
    with pytest.raises(ValueError, match="sum to one"):
        Stack({Member.BGNBD: 0.5, Member.LOGISTIC: 0.6})


def test_a_stack_is_affine_in_its_members():
    stack = Stack({Member.LIGHTGBM: 0.5, Member.BGNBD: 0.5}, Calibrator(2.0, -1.0))
    assert stack.log_odds({Member.LIGHTGBM: 1.0, Member.BGNBD: 3.0}) == pytest.approx(2.0 * 2.0 - 1.0)


def test_quality_is_foretold_from_calibrated_chances():
    draw = np.random.default_rng(3)
    chance = draw.beta(1.2, 1.8, 3000)
    foretold = expect(chance, seed=1)
    came = [hold_against((draw.random(3000) < chance).astype(float), chance, seed=1) for _ in range(40)]
    assert foretold.area == pytest.approx(np.mean([each.area for each in came]), abs=0.006)
    assert sum(foretold.area_low < each.area < foretold.area_high for each in came) >= 34
    assert foretold.rate == pytest.approx(np.mean([each.rate for each in came]), abs=0.015)
    assert foretold.brier == pytest.approx(np.mean([each.brier for each in came]), abs=0.005)


def test_quality_falls_before_labels_say_so_when_people_become_alike():
    draw = np.random.default_rng(4)
    apart, alike = draw.beta(0.5, 0.5, 2000), draw.beta(20, 20, 2000)
    assert expect(alike, seed=1).area < expect(apart, seed=1).area - 0.2


def test_of_nobody_nothing_is_expected():
    with pytest.raises(ValueError, match="nobody"):
        expect(np.array([]), seed=1)
