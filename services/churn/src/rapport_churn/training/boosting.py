"""The boosted trees: settings, a fit with early stopping, and a bag of fits as one model. The only user of lightgbm.

One thread and fixed seeds: the same rows give the same trees. Nothing is weighted or sampled anew by class: that would
tell wrong chances, and early stopping would stop after a few rounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import lightgbm
import numpy as np
from numpy.typing import NDArray

from rapport_churn.training.frame import Column

Floats = NDArray[np.float64]

DEEPEST: Final = 8
"""No path asks more questions, so that a row is explained by tables."""

MOST_ROUNDS: Final = 1500
_PATIENCE: Final = 60
_LEAVES: Final = (4, 4, 6, 8, 8, 12, 16, 31)
_FIXED: Final[Mapping[str, Any]] = {
    "num_threads": 1,
    "deterministic": True,
    # A tree sees a part of the columns: those it does not see cost nothing. By rows gives the same trees, later.
    "force_col_wise": True,
    "max_depth": DEEPEST,
    "verbosity": -1,
    "max_bin": 127,
    # One code against all others: sets of codes, sorted by what their few rows say, fit noise.
    "max_cat_to_onehot": 1 << 20,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the search draws.

    Attributes:
        leaves: Most leaves of a tree.
        rate: Learning rate.
        columns: Share of columns that a tree sees.
        rows_in_leaf: Fewest rows of a leaf.
        ridge: Penalty on squared leaf values.
        rows: Share of rows that a tree sees.
    """

    leaves: int
    rate: float
    columns: float
    rows_in_leaf: int
    ridge: float
    rows: float

    def of(self, objective: str, seed: int) -> dict[str, Any]:
        """Return LightGBM's parameters."""
        return {
            **_FIXED,
            "objective": objective,
            "num_leaves": self.leaves,
            "learning_rate": self.rate,
            "feature_fraction": self.columns,
            "min_data_in_leaf": self.rows_in_leaf,
            "lambda_l2": self.ridge,
            "bagging_fraction": self.rows,
            "bagging_freq": int(self.rows < 1.0),
            "seed": seed,
        }

    def as_json(self) -> dict[str, Any]:
        """Return the settings for a card."""
        return asdict(self)


SOUND: Final = Settings(8, 0.03, 0.4, 50, 1.0, 0.7)
"""Good on most data; the first of the draws, and what small data are learned with."""


def drawn(count: int, seed: int, rows: int) -> Iterator[Settings]:
    """Yield settings: the sound ones, then such as chance gives.

    Args:
        count: How many in all.
        seed: Of the draws.
        rows: Rows to learn from; leaves are not larger than a part of them.
    """
    draw = np.random.default_rng(seed)
    most = max(5, rows // 50)
    yield Settings(SOUND.leaves, SOUND.rate, SOUND.columns, min(SOUND.rows_in_leaf, most), SOUND.ridge, SOUND.rows)
    for _ in range(count - 1):
        yield Settings(
            leaves=int(draw.choice(_LEAVES)),
            rate=float(draw.choice([0.02, 0.03, 0.05])),
            columns=float(draw.choice([0.3, 0.4, 0.6, 0.8])),
            rows_in_leaf=min(int(np.exp(draw.uniform(np.log(5), np.log(200)))), most),
            ridge=float(draw.choice([0.0, 1.0, 10.0])),
            rows=float(draw.choice([0.5, 0.8, 1.0])),
        )


def dataset(values: Floats, labels: Floats, columns: Sequence[Column], reference: Any = None) -> lightgbm.Dataset:
    """Return rows as LightGBM takes them, binned once for every fit on them."""
    coded = [at for at, column in enumerate(columns) if column.categorical]
    names = [f"c{at}" for at in range(len(columns))]
    parameters = {**_FIXED, "data_random_seed": 1, "min_data_in_leaf": 1}
    rows = lightgbm.Dataset(
        values, labels, reference=reference, feature_name=names, categorical_feature=coded, params=parameters,
        free_raw_data=False,
    )  # fmt: skip
    return rows.construct()


@dataclass(frozen=True)
class Fit:
    """A fitted model, and the rounds after which held-out rows were told best."""

    booster: lightgbm.Booster
    rounds: int

    def log_odds(self, values: Floats) -> Floats:
        """Return raw scores after the best number of rounds."""
        scores: Floats = np.asarray(
            self.booster.predict(values, raw_score=True, num_iteration=self.rounds, num_threads=1)
        )
        return scores


def fit_until_best(rows: lightgbm.Dataset, held_out: lightgbm.Dataset, settings: Settings, most_rounds: int) -> Fit:
    """Fit, and stop when the log-loss of held-out rows has not fallen for a while."""
    stopping = lightgbm.early_stopping(_PATIENCE, verbose=False)
    parameters = settings.of("binary", 1)
    booster = lightgbm.train(parameters, rows, most_rounds, valid_sets=[held_out], callbacks=[stopping])
    return Fit(booster, max(booster.best_iteration, 1))


def fit_rounds(rows: lightgbm.Dataset, settings: Settings, objective: str, seed: int, rounds: int) -> Fit:
    """Fit a given number of rounds."""
    return Fit(lightgbm.train(settings.of(objective, seed), rows, rounds), rounds)


def bagged(fits: Sequence[Fit]) -> str:
    """Return one model that says the mean of several, as text: their trees, each leaf divided by their number."""
    texts = [fit.booster.model_to_string(num_iteration=fit.rounds, importance_type="gain") for fit in fits]
    head = texts[0].split("\nTree=", 1)[0]
    trees = [tree for text in texts for tree in text.split("\nend of trees", 1)[0].split("\nTree=")[1:]]
    blocks = [
        f"Tree={at}\n" + _divided(tree.split("\n", 1)[1], len(fits)).strip("\n") + "\n\n\n"
        for at, tree in enumerate(trees)
    ]
    sizes = " ".join(str(len(block.encode())) for block in blocks)
    head = re.sub(r"^tree_sizes=.*$", f"tree_sizes={sizes}", head, flags=re.MULTILINE)
    return head.rstrip("\n") + "\n\n" + "".join(blocks) + "end of trees\n"


_SCALED: Final = re.compile(r"^(leaf_value|internal_value)=(.*)$", re.MULTILINE)


def _divided(tree: str, count: int) -> str:
    def divide(line: re.Match[str]) -> str:
        return f"{line[1]}=" + " ".join(repr(float(word) / count) for word in line[2].split())

    return tree if count == 1 else _SCALED.sub(divide, tree)
