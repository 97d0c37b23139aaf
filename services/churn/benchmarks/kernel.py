"""Speed of the kernel: one row, one row with exact reasons, many rows; each beside LightGBM's own way of the same run.

python services/churn/benchmarks/kernel.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import lightgbm
import numpy as np
from numpy.typing import NDArray
from rapport_churn.adapters.native import NativeModel
from rapport_churn.domain.batch import BatchTables
from rapport_churn.domain.shap_tables import ShapTables
from rapport_churn.domain.trees import parse
from rapport_testing.bench import Figure, Report, p50, p99

ROOT: Final = Path(__file__).resolve().parents[3]
COLUMNS: Final = 36
GROUPS: Final = 12
CODED: Final = (0, 1)
MODELS: Final = ((4, 400), (8, 400), (15, 300), (31, 300))
"""Leaves and trees."""

ROUNDS: Final = 6
ROWS: Final = 300
MANY: Final = 20_000

Floats = NDArray[np.float64]


def main() -> None:
    """Measure and print."""
    report = Report("churn-kernel", ROOT / "build" / "bench")
    values, labels = drawn(1, 20_000)
    for leaves, trees in MODELS:
        settings = {
            "objective": "binary", "num_leaves": leaves, "max_depth": 8, "learning_rate": 0.05, "feature_fraction": 0.5,
            "num_threads": 1, "verbosity": -1, "seed": 1, "max_cat_to_onehot": 1 << 20,
        }  # fmt: skip
        rows = lightgbm.Dataset(values, labels, categorical_feature=list(CODED))
        measure(report, f"{leaves} leaves x {trees}", lightgbm.train(settings, rows, trees))
    print(f"written to {report.write().relative_to(ROOT)}")


def drawn(seed: int, rows: int) -> tuple[Floats, Floats]:
    """Draw rows with codes, whole numbers and gaps, and labels that hang together with them."""
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(rows, COLUMNS))
    values[:, 2:12] = np.round(3 * values[:, 2:12])
    values[:, 4:20][draw.random((rows, 16)) < 0.03] = np.nan
    values[:, CODED] = draw.integers(0, [4, 12], (rows, 2))
    known = np.nan_to_num(values)
    odds = 0.3 * known[:, 2] + known[:, 12] * known[:, 25] + np.sin(2 * known[:, 30]) + 0.2 * (known[:, 1] % 3)
    return values, (draw.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.float64)


def measure(report: Report, name: str, booster: lightgbm.Booster) -> None:
    """Measure one model."""
    text = booster.model_to_string()
    model, forest = NativeModel(text), parse(text)
    tables, batch = ShapTables(forest, [at % GROUPS for at in range(COLUMNS)]), BatchTables(forest)
    values, _ = drawn(2, MANY)
    stock = np.asarray(booster.predict(values[:200], pred_contrib=True, num_threads=1))
    exact = ShapTables(forest, range(COLUMNS))
    off = max(float(np.max(np.abs(exact.contributions(row) - stock[at, :-1]))) for at, row in enumerate(values[:200]))
    singles = [values[at : at + 1] for at in range(ROWS)]

    def explained(row: Floats) -> None:
        float(tables.contributions(row[0]).sum()) + tables.base

    floor, kernel, reasons, walked = timed(
        [
            partial(booster.predict, num_threads=1),
            lambda row: model.log_odds(row[0]),
            explained,
            lambda row: model.contributions(row[0]),
        ],
        singles,
    )
    report.add(Figure(f"{name}: one row, p50", p50(kernel), "us", p50(floor), "<= 0.5"))
    report.add(Figure(f"{name}: one row, p99", p99(kernel), "us", p99(floor)))
    report.add(Figure(f"{name}: score and reasons, p50", p50(reasons), "us", p50(floor), "<= 1.0"))
    report.add(Figure(f"{name}: score and reasons, p99", p99(reasons), "us", p99(floor)))
    report.add(Figure(f"{name}: the same by walking", p50(walked), "us", p50(floor)))
    report.add(Figure(f"{name}: off stock SHAP, 1e-15", off * 1e15, "", 1e6, "<= 1"))
    report.add(Figure(f"{name}: tables", tables.size_bytes / 1e6, "MB"))
    many, few = [], []
    for _ in range(ROUNDS):
        few.append(MANY / seconds(partial(booster.predict, values, raw_score=True, num_threads=1)))
        many.append(MANY / seconds(partial(batch.log_odds_of, values)))
    report.add(Figure(f"{name}: rows a second", statistics.median(many), "", statistics.median(few), ">= 3"))


def timed(subjects: Sequence[Callable[[Floats], Any]], rows: Sequence[Floats]) -> list[list[float]]:
    """Time calls in turn, in microseconds; the first round is left out."""
    taken: list[list[float]] = [[] for _ in subjects]
    for turn in range(ROUNDS + 1):
        for subject, times in zip(subjects, taken, strict=True):
            for row in rows:
                began = time.perf_counter()
                subject(row)
                if turn:
                    times.append((time.perf_counter() - began) * 1e6)
    return taken


def seconds(call: Callable[[], Any]) -> float:
    """Return the processor time of a call."""
    began = time.process_time()
    call()
    return time.process_time() - began


if __name__ == "__main__":
    main()
