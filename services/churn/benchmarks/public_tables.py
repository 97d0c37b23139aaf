"""Accuracy on public tables with a churn flag: one recipe, logistic regression and LightGBM as it comes, same folds.

python services/churn/benchmarks/public_tables.py [--only telco]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import lightgbm
import numpy as np
from churn_data import mlc_churn, telco
from numpy.typing import NDArray
from rapport_churn.domain.labels import Horizon
from rapport_churn.training.backtest import judge
from rapport_churn.training.frame import Frame
from rapport_churn.training.looking import Effort
from rapport_churn.training.members import fit_linear
from rapport_churn.training.recipe import learn
from rapport_testing.bench import Figure, write_figures

ROOT: Final = Path(__file__).resolve().parents[3]
FOLDS: Final = 5
ANY: Final = Horizon(90, 180)
"""A table has no time; no horizon is looked at."""

TABLES: Final[Mapping[str, tuple[Callable[[], Frame], float, float]]] = {
    "telco": (telco, 0.848, 0.412),
    "mlc": (mlc_churn, 0.923, 0.153),
}
"""The table, the area to reach and the log-loss not to exceed."""

Floats = NDArray[np.float64]


def recipe(train: Frame, test: Frame) -> Floats:
    """Learn by the recipe; everything is searched and chosen inside of the training folds."""
    return learn(train, None, ANY, Effort()).scores(test, ANY.days)


def logistic(train: Frame, test: Frame) -> Floats:
    """Logistic regression on all columns."""
    return fit_linear(train.values, train.churned.astype(np.float64), train.columns, 1.0).log_odds(test.values)


def defaults(train: Frame, test: Frame) -> Floats:
    """LightGBM as it comes, told which columns hold codes."""
    coded = [at for at, column in enumerate(train.columns) if column.categorical]
    rows = lightgbm.Dataset(train.values, train.churned, categorical_feature=coded)
    booster = lightgbm.train({"objective": "binary", "num_threads": 1, "verbosity": -1, "seed": 1}, rows)
    return np.asarray(booster.predict(test.values, raw_score=True))


MODELS: Final[Mapping[str, Callable[[Frame, Frame], Floats]]] = {
    "logistic regression": logistic,
    "LightGBM defaults": defaults,
    "the recipe": recipe,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=TABLES, help="one table; all if not given")
    only = parser.parse_args().only
    figures: list[Figure] = []
    for name, (read, least_area, most_loss) in TABLES.items():
        if only in (None, name):
            figures += measure(name, read(), least_area, most_loss)
    print(f"written to {write_figures(ROOT / 'build' / 'bench' / 'churn-tables.jsonl', figures).relative_to(ROOT)}")


def measure(name: str, frame: Frame, least_area: float, most_loss: float) -> list[Figure]:
    """Judge every model on the same folds, pooled and as the mean of folds."""
    fold = np.random.default_rng(5).permutation(len(frame)) % FOLDS
    labels = frame.churned.astype(np.float64)
    told = {model: np.zeros(len(frame)) for model in MODELS}
    for held in range(FOLDS):
        train, test = frame.rows(fold != held), frame.rows(fold == held)
        for model, fit in MODELS.items():
            told[model][fold == held] = fit(train, test)
    print(f"{name}: area (mean of folds), log-loss, Brier, ECE (noise floor), lift at 10 %")
    judged = {model: judge(labels, odds) for model, odds in told.items()}
    for model, each in judged.items():
        areas = [judge(labels[fold == held], told[model][fold == held]).area for held in range(FOLDS)]
        print(
            f"  {model:<22}{each.area:.4f} ({np.mean(areas):.4f})  {each.log_loss:.4f}  {each.brier:.4f}"
            f"  {each.calibration_error:.4f} ({each.noise_floor:.4f})  {each.lift:.2f}"
        )
    ours = judged["the recipe"]
    floor = judged["logistic regression"]
    return [
        Figure(f"{name} area", ours.area, "", floor.area, f">= {least_area}"),
        Figure(f"{name} log-loss", ours.log_loss, "", floor.log_loss, f"<= {most_loss}"),
    ]


if __name__ == "__main__":
    main()
