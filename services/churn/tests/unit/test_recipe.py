"""What the recipe is made of: calibrators that held, a bag of fits, tables without time, and nothing weighted."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import rapport_churn
from rapport_churn.adapters.native import NativeModel, load_scorer
from rapport_churn.domain.calibration import chances
from rapport_churn.domain.facts import DAY
from rapport_churn.domain.labels import Horizon, PopulationRule
from rapport_churn.domain.stack import Member
from rapport_churn.training import backtest
from rapport_churn.training.artefact import Scope, write_artefact
from rapport_churn.training.backtest import Told
from rapport_churn.training.boosting import SOUND, bagged, dataset, fit_rounds
from rapport_churn.training.calibrating import Kind, choose_calibrator
from rapport_churn.training.frame import Column, Frame
from rapport_churn.training.looking import Effort
from rapport_churn.training.recipe import learn

SMALL = Effort(draws=2, seeds=(1,), search_rows=1200, rounds=60)


def test_a_calibrator_that_did_not_hold_forward_is_not_used():
    draw = np.random.default_rng(1)
    told, horizon = [], Horizon(30, 60)
    for number, shift in enumerate((1.0, -1.0, 1.0, -1.0)):
        odds = draw.normal(size=2000)
        labels = (draw.random(2000) < 1 / (1 + np.exp(-odds - shift))).astype(float)
        told.append(Told(number * 40 * DAY, labels, {Member.BGNBD: odds}))
    chosen = choose_calibrator(told, {Member.BGNBD: 1.0}, horizon)
    assert chosen.kind is Kind.NONE
    assert chosen.losses["none"] < chosen.losses["intercept"]


def test_a_calibrator_that_held_forward_is_used():
    draw = np.random.default_rng(2)
    told, horizon = [], Horizon(30, 60)
    for number in range(4):
        odds = draw.normal(size=2000) * 2
        labels = (draw.random(2000) < 1 / (1 + np.exp(-0.5 * odds + 0.7))).astype(float)
        told.append(Told(number * 40 * DAY, labels, {Member.BGNBD: odds}))
    chosen = choose_calibrator(told, {Member.BGNBD: 1.0}, horizon)
    assert chosen.kind is Kind.PLATT
    assert (chosen.calibrator.slope, chosen.calibrator.intercept) == pytest.approx((0.5, -0.7), abs=0.08)


def test_where_the_rhythm_knows_how_many_leave_the_stack_is_moved_to_it():
    draw = np.random.default_rng(5)
    told, horizon = [], Horizon(30, 60)
    for number, shift in enumerate((1.0, -1.0, 1.0, -1.0)):
        odds = draw.normal(size=2000)
        labels = (draw.random(2000) < 1 / (1 + np.exp(-odds - shift))).astype(float)
        told.append(Told(number * 40 * DAY, labels, {Member.LIGHTGBM: odds, Member.BGNBD: np.full(2000, shift)}))
    chosen = choose_calibrator(told, {Member.LIGHTGBM: 1.0}, horizon)
    assert chosen.kind is Kind.RHYTHM
    said = [chances(each).mean() for each in chosen.forward]
    assert said == pytest.approx([chances(each.log_odds[Member.BGNBD]).mean() for each in told])


def test_a_bag_says_the_mean_of_its_fits():
    draw = np.random.default_rng(3)
    values = draw.normal(size=(400, 3))
    labels = (values[:, 0] + draw.normal(size=400) > 0).astype(float)
    columns = [Column(name, "g") for name in "abc"]
    fits = [fit_rounds(dataset(values, labels, columns), SOUND, "binary", seed, 5) for seed in (1, 2, 3)]
    scorer = NativeModel(bagged(fits))
    assert scorer.log_odds_of(values) == pytest.approx(
        np.mean([fit.log_odds(values) for fit in fits], axis=0), abs=1e-12
    )


def test_a_table_without_time_is_learned_by_folds():
    draw = np.random.default_rng(4)
    values = draw.normal(size=(1200, 4))
    values[:, 3] = draw.integers(0, 3, 1200)
    labels = (draw.random(1200) < 1 / (1 + np.exp(-values[:, 0] - (values[:, 3] == 1)))).astype(np.int8)
    empty = np.empty(0)
    frame = Frame(
        tuple(Column(name, name, name == "d") for name in "abcd"), values, np.arange(1200), np.zeros(1200, np.int64),
        labels, np.where(labels, np.inf, 20.0), np.full(1200, -1), empty, empty, empty, empty,
    )  # fmt: skip
    learned = learn(frame, None, Horizon(90, 180), SMALL)
    scorer = load_scorer(write_artefact(frame, frame, learned, None, Scope("x", Horizon(90, 180), PopulationRule(365))))
    scores = [scorer.score(row, None) for row in values]
    assert [each.log_odds for each in scores] == pytest.approx(learned.scores(frame, 90), abs=1e-9)
    assert backtest.judge(labels.astype(float), learned.scores(frame, 90)).area > 0.7


FORBIDDEN = {
    "is_unbalance", "scale_pos_weight", "class_weight", "pos_bagging_fraction", "neg_bagging_fraction",
    "sample_weight", "SMOTE", "RandomOverSampler", "RandomUnderSampler", "imblearn",
}  # fmt: skip


def test_nothing_in_the_package_weights_or_samples_by_class():
    root = Path(rapport_churn.__file__).parent
    for path in root.rglob("*.py"):
        named = {
            value
            for node in ast.walk(ast.parse(path.read_text()))
            for value in (
                getattr(node, "arg", None), getattr(node, "id", None), getattr(node, "attr", None),
                getattr(node, "value", None), getattr(node, "module", None),
            )
            if isinstance(value, str)
        }  # fmt: skip
        assert not named & FORBIDDEN, path
