"""One row's score and its exact reasons, against LightGBM's own Python package."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from rapport_churn.adapters.native import NativeError, NativeModel
from rapport_churn.domain import shap_tables
from rapport_churn.domain.batch import BatchTables
from rapport_churn.domain.shap_tables import ShapTables
from rapport_churn.domain.trees import (
    Forest,
    Missing,
    NotTabulableError,
    Split,
    Tree,
    UnreadableModelError,
    goes_left,
    parse,
)

COLUMNS = 12
CODED = (0, 1, 2)


def table(seed: int, rows: int, *, coded: bool):
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(rows, COLUMNS))
    values[:, 3:6] = np.round(values[:, 3:6] * 3)
    values[:, 3:9][draw.random((rows, 6)) < 0.05] = np.nan
    if coded:
        values[:, CODED] = draw.integers(0, [3, 9, 40], size=(rows, 3))
        values[draw.random(rows) < 0.05, 1] = np.nan
    told = np.nan_to_num(values)
    odds = (
        told[:, 3] * 0.4 + told[:, 10] * told[:, 11] + np.where(np.isnan(values[:, 7]), 1.5, 0.0) + told[:, 2] % 7 / 5
    )
    labels = (draw.random(rows) < 1 / (1 + np.exp(-odds))).astype(float)
    return values, labels


@pytest.fixture(
    scope="module", params=[(4, False), (8, True), (31, True)], ids=["4 leaves", "8 with codes", "31 with codes"]
)
def trained(request):
    leaves, coded = request.param
    values, labels = table(1, 1500, coded=coded)
    data = lightgbm.Dataset(values, labels, categorical_feature=list(CODED) if coded else [])
    settings = {"objective": "binary", "num_leaves": leaves, "max_depth": 8, "verbosity": -1, "num_threads": 1}
    settings |= {"seed": 1, "min_data_in_leaf": 5, "min_data_per_group": 5, "cat_smooth": 1.0}
    return lightgbm.train(settings, data, 30)


@pytest.fixture(scope="module")
def hostile(trained):
    """Rows with values equal to thresholds, zeros, missing ones, and codes that training never saw."""
    values, _ = table(2, 400, coded=trained.model_to_string().count("num_cat=1") > 0)
    draw = np.random.default_rng(3)
    for tree in parse(trained.model_to_string()).trees:
        for split in tree.splits:
            if split.codes is None and 1e-30 < abs(split.threshold) < np.inf:  # LightGBM takes less for zero
                values[draw.integers(400), split.feature] = split.threshold
    values[:60, CODED] = draw.choice([-1.0, -0.5, 99.0, 3.7, np.nan, 2.0, 1e9], size=(60, 3))
    values[60:80] = 0.0
    values[80:100] = np.nan
    return values


def test_one_row_scores_exactly_as_the_package_scores_it(trained, hostile):
    model = NativeModel(trained.model_to_string())
    singly = np.array([model.log_odds(list(row)) for row in hostile])
    assert np.array_equal(singly, trained.predict(hostile, raw_score=True))
    assert np.array_equal(model.log_odds_of(hostile), singly)


def test_contributions_of_the_library_are_those_of_the_package(trained, hostile):
    model = NativeModel(trained.model_to_string())
    stock = trained.predict(hostile, pred_contrib=True)
    assert np.array_equal(model.contributions_of(hostile), stock)
    assert np.array_equal(model.contributions(hostile[5]), stock[5])


def test_tables_give_stock_shap_values_of_every_column(trained, hostile):
    tables = ShapTables(parse(trained.model_to_string()), range(COLUMNS))
    stock = trained.predict(hostile, pred_contrib=True)
    looked_up = np.array([tables.contributions(row) for row in hostile])
    assert np.max(np.abs(looked_up - stock[:, :-1])) < 1e-9
    assert tables.base == pytest.approx(stock[0, -1], abs=1e-9)


def test_reasons_of_groups_are_the_sums_of_their_columns(trained, hostile):
    forest = parse(trained.model_to_string())
    groups = [at % 4 for at in range(COLUMNS)]
    by_column, by_group = ShapTables(forest, range(COLUMNS)), ShapTables(forest, groups)
    for row in hostile[:50]:
        summed = np.bincount(groups, by_column.contributions(row), minlength=4)
        assert by_group.contributions(row) == pytest.approx(summed, abs=1e-12)


def test_parsed_trees_walk_to_the_same_score(trained, hostile):
    forest = parse(trained.model_to_string())
    walked = [sum(tree.value(row) for tree in forest.trees) for row in hostile]
    assert walked == pytest.approx(trained.predict(hostile, raw_score=True), abs=1e-12)


def test_many_rows_at_once_score_as_the_package_scores_them(trained, hostile):
    rows = np.tile(hostile, (12, 1))
    batch = BatchTables(parse(trained.model_to_string()))
    assert batch.log_odds_of(rows) == pytest.approx(trained.predict(rows, raw_score=True), abs=1e-9)
    assert len(batch.log_odds_of(rows[:0])) == 0


def test_trees_that_ask_nothing_are_tabulated():
    leaf = Tree((), (), (), (0.25,), (1.0,), ())
    forest, rows = Forest(2, (leaf, leaf)), np.array([[1.0, np.nan]])
    tables = ShapTables(forest, [0, 1])
    assert (tables.base, tables.contributions(rows[0]).tolist()) == (0.5, [0.0, 0.0])
    assert BatchTables(forest).log_odds_of(rows).tolist() == [0.5]


def test_a_model_of_many_leaves_has_larger_cells_and_the_same_reasons(trained, hostile, monkeypatch):
    forest = parse(trained.model_to_string())
    small = ShapTables(forest, range(COLUMNS))
    monkeypatch.setattr(shap_tables, "MANY_LEAVES", 0)
    large = ShapTables(forest, range(COLUMNS))
    assert large.size_bytes > small.size_bytes
    for row in hostile[:50]:
        assert large.contributions(row) == pytest.approx(small.contributions(row), abs=1e-12)


def test_paths_of_many_questions_are_not_tabulated():
    values, labels = table(4, 1500, coded=False)
    settings = {"objective": "binary", "num_leaves": 63, "min_data_in_leaf": 2, "verbosity": -1, "num_threads": 1}
    deep = lightgbm.train(settings, lightgbm.Dataset(values, labels), 3)
    with pytest.raises(NotTabulableError):
        ShapTables(parse(deep.model_to_string()), range(COLUMNS))


def test_a_model_that_gives_other_scores_than_in_training_is_refused(trained, hostile):
    model = NativeModel(trained.model_to_string())
    kept = trained.predict(hostile, raw_score=True)
    model.check(hostile[:20], kept[:20])
    with pytest.raises(NativeError, match="does not give the scores"):
        model.check(hostile[:20], kept[:20] + 1e-6)


def test_a_damaged_model_is_refused_with_a_reason(trained):
    text = trained.model_to_string()
    with pytest.raises(NativeError):
        NativeModel("not a model")
    with pytest.raises(UnreadableModelError):
        parse(text.replace("left_child=", "left_child=9 "))
    with pytest.raises(UnreadableModelError):
        parse("tree\nnum_class=3\nmax_feature_idx=1\n")


def test_a_row_of_another_width_is_refused(trained):
    model = NativeModel(trained.model_to_string())
    with pytest.raises(ValueError, match="broadcast"):
        model.log_odds([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="12 columns"):
        model.log_odds_of(np.zeros((2, 3)))


def test_missing_numbers_go_where_the_split_learned():
    assert goes_left(Split(0, 1.0, Missing.LEFT), float("nan"))
    assert not goes_left(Split(0, 1.0, Missing.RIGHT), float("nan"))
    assert goes_left(Split(0, 0.0, Missing.AS_ZERO), float("nan"))
    assert not goes_left(Split(0, -1.0, Missing.AS_ZERO), float("nan"))
