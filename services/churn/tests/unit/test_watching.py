"""Drift is told when it is there and not when it is not; errors are told for each group."""

from __future__ import annotations

import numpy as np
import pytest
from rapport_churn.domain.drift import Distribution, chi_square_above, look
from rapport_churn.domain.fairness import FEWEST, audit
from scipy.stats import chi2

FEATURES = 20


def drawn(draw, rows: int):
    """Rows of many kinds: even, skewed, whole numbers, rare ones, with gaps."""
    values = draw.normal(size=(rows, FEATURES))
    values[:, 4:8] = np.exp(values[:, 4:8])
    values[:, 8:12] = draw.poisson(0.4, (rows, 4))
    values[:, 12:16] = np.round(values[:, 12:16])
    values[:, 14:18][draw.random((rows, 4)) < 0.3] = np.nan
    values[:, 18] = draw.random(rows) < 0.01
    values[:, 19] = np.nan
    return values


@pytest.fixture(scope="module")
def reference():
    values = drawn(np.random.default_rng(1), 5000)
    return [Distribution.of(f"f{at}", values[:, at]) for at in range(FEATURES)]


@pytest.mark.parametrize("rows", [150, 1000])
def test_a_stable_stream_raises_at_most_one_alarm_in_a_hundred_looks(reference, rows):
    draw = np.random.default_rng(rows)
    alarms = sum(any(each.drifted for each in look(reference, drawn(draw, rows))) for _ in range(200))
    assert alarms <= 2


def test_half_a_standard_deviation_is_found_within_a_thousand_events(reference):
    draw = np.random.default_rng(7)
    for _ in range(20):
        window = drawn(draw, 1000)
        window[:, 2] += 0.5
        found = {each.feature for each in look(reference, window) if each.drifted}
        assert found == {"f2"}


def test_values_that_go_missing_are_found(reference):
    window = drawn(np.random.default_rng(8), 600)
    window[:200, 0] = np.nan
    assert [each.feature for each in look(reference, window) if each.drifted] == ["f0"]


def test_of_a_handful_of_rows_nothing_is_said(reference):
    assert look(reference, drawn(np.random.default_rng(9), 20)) == []


def test_a_distribution_is_kept_without_anybody_s_row():
    kept = Distribution.of("f", np.random.default_rng(1).normal(size=5000))
    assert len(kept.knots) <= 200
    assert Distribution(**kept.as_json()) == kept


def test_the_bound_is_that_of_chi_square():
    for freedom in (1, 4, 10):
        for share in (0.05, 1e-3, 1e-5):
            assert 0.97 <= chi_square_above(freedom, share) / chi2.isf(share, freedom) <= 1.12


def people(seed: int, count: int):
    draw = np.random.default_rng(seed)
    chance = draw.beta(1.5, 3, count)
    return chance, (draw.random(count) < chance).astype(float), draw.choice(["a", "b"], count).tolist()


def test_equal_groups_show_no_difference():
    chance, labels, groups = people(1, 4000)
    told = audit(labels, chance, groups)
    assert (told.caught_gap, told.false_alarms_gap, told.calibration_gap) == (0.0, 0.0, 0.0)
    assert told.passes(0.0)


def test_a_group_whose_leavers_are_missed_is_told():
    chance, labels, groups = people(2, 4000)
    blind = np.where(np.array(groups) == "a", chance, 0.2)
    told = audit(labels, blind, groups)
    caught = {each.group: each.caught for each in told.groups}
    assert caught["a"] > caught["b"] + 0.1
    assert told.caught_gap > 0.1
    assert not told.passes(0.05)


def test_a_group_whose_chances_are_wrong_is_told():
    chance, labels, groups = people(3, 4000)
    told = audit(labels, np.where(np.array(groups) == "a", chance, chance * 0.7), groups)
    assert told.calibration_gap > 0.03


def test_small_groups_and_unknown_ones_are_left_out():
    chance, labels, groups = people(4, 500)
    groups[: FEWEST - 1] = ["rare"] * (FEWEST - 1)
    groups[100:150] = [""] * 50
    told = audit(labels, chance, groups)
    assert {each.group for each in told.groups} == {"a", "b"}
    assert told.left_out == 1
    assert sum(each.rows for each in told.groups) == 500 - 50 - (FEWEST - 1)
