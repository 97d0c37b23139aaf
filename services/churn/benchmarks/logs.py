"""Accuracy on event logs, cutoff by cutoff, trained at each on what was closed by then: the stack against its members.

python services/churn/benchmarks/logs.py [--only retail]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from churn_data import instant, log_of
from rapport_churn.domain.facts import DAY
from rapport_churn.domain.features import DEFAULT_FEATURES
from rapport_churn.domain.labels import Horizon, PopulationRule, closed_cutoffs
from rapport_churn.domain.stack import Member
from rapport_churn.training.backtest import Figures, judge
from rapport_churn.training.frame import Floats, Frame
from rapport_churn.training.log import EventLog
from rapport_churn.training.looking import Effort
from rapport_churn.training.members import fit_linear, rhythm_log_odds, rhythm_of
from rapport_churn.training.offline import rebuild
from rapport_churn.training.recipe import Learned, learn
from rapport_testing.bench import Figure, write_figures

ROOT: Final = Path(__file__).resolve().parents[3]
HORIZON: Final = Horizon(90, 180)
POPULATION: Final = PopulationRule(365)
EVERY_DAYS: Final = 14
RFM: Final = ("days_since_order", "tenure", "orders_ever", "spend_ever")
BELOW: Final = 0.003

CUTOFFS: Final[Mapping[str, tuple[Sequence[str], float]]] = {
    "retail": (
        ("2010-09-01", "2010-10-01", "2010-11-01", "2010-12-01", "2011-01-01", "2011-02-01", "2011-03-01"),
        0.06,
    ),
    "cdnow": (("1997-09-30", "1997-12-31", "1998-03-31"), 0.025),
}
"""The cutoffs, and the calibration error not to exceed on their mean."""


def at_cutoffs(log: EventLog, dates: Sequence[str]) -> Iterator[tuple[str, Frame, Frame, int]]:
    """Yield each cutoff with the rows to learn from, which are those closed by then, and those to judge on."""
    first, last = log.span()
    for date in dates:
        cutoff = instant(date)
        since = first + HORIZON.days * DAY // 2
        closed = closed_cutoffs(since, cutoff, HORIZON, EVERY_DAYS)
        train = rebuild(
            log, DEFAULT_FEATURES, closed, HORIZON, now=cutoff, population=POPULATION, most_rows=Effort().rows
        )
        now = rebuild(log, DEFAULT_FEATURES, [cutoff], HORIZON, now=last + DAY, population=POPULATION)
        yield date, train, now, cutoff


def on_columns(train: Frame, test: Frame, used: Sequence[int], ridge: float) -> Floats:
    """Logistic regression on some columns."""
    columns = [train.columns[at] for at in used]
    fit = fit_linear(train.values[:, used], train.churned.astype(np.float64), columns, ridge)
    return fit.log_odds(test.values[:, used])


def said(train: Frame, now: Frame) -> tuple[dict[str, Floats], Learned]:
    """Return what the stack and its floors say."""
    learned = learn(train, now, HORIZON, Effort())
    rfm = [at for at, column in enumerate(train.columns) if column.name in RFM]
    rhythm = rhythm_of(now)
    assert rhythm is not None
    told = {
        "BG/NBD": rhythm_log_odds(rhythm, now, HORIZON.days),
        "logistic on R, F, M": on_columns(train, now, rfm, 1.0),
        "logistic on all": on_columns(train, now, learned.used, learned.findings["ridge"]),
        "the stack": learned.scores(now, HORIZON.days),
    }
    if learned.trees is not None:
        told["its trees"] = learned.log_odds(now, HORIZON.days)[Member.LIGHTGBM]
    return told, learned


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=CUTOFFS, help="one log; all if not given")
    only = parser.parse_args().only
    figures: list[Figure] = []
    for name, (dates, most_error) in CUTOFFS.items():
        if only in (None, name):
            figures += measure(name, dates, most_error)
    print(f"written to {write_figures(ROOT / 'build' / 'bench' / 'churn-logs.jsonl', figures).relative_to(ROOT)}")


def measure(name: str, dates: Sequence[str], most_error: float) -> list[Figure]:
    """Judge at every cutoff."""
    rows: list[dict[str, Figures]] = []
    print(f"{name}: area / log-loss / ECE; the noise floor is that of the stack")
    for date, train, now, _ in at_cutoffs(log_of(name), dates):
        told, learned = said(train, now)
        labels = now.churned.astype(np.float64)
        judged = {model: judge(labels, odds) for model, odds in told.items()}
        rows.append(judged)
        cells = "  ".join(f"{model} {_cell(each)}" for model, each in judged.items())
        weights = ", ".join(f"{member} {weight:.1f}" for member, weight in learned.stack.weights.items())
        stack = judged["the stack"]
        print(f"  {date} ({len(now)}, {stack.rate:.2f} left)  {cells}", flush=True)
        print(f"    floor {stack.noise_floor:.3f}; {weights}; calibrator {learned.findings['calibrator']}", flush=True)
    models = [model for model in rows[0] if all(model in each for each in rows)]
    mean = {model: _mean(rows, model) for model in models}
    for model in models:
        worst = min(each["the stack"].area - each[model].area for each in rows)
        print(f"  mean {model:<20}{'/'.join(f'{value:.4f}' for value in mean[model])}; the stack at worst {worst:+.4f}")
    floors = ("BG/NBD", "logistic on R, F, M", "logistic on all")
    best = max(mean[model][0] for model in floors)
    worst = min(each["the stack"].area - max(each[model].area for model in floors) for each in rows)
    noise = float(np.mean([each["the stack"].noise_floor for each in rows]))
    return [
        Figure(f"{name} area, mean", mean["the stack"][0], "", best, "> floor"),
        Figure(f"{name} area at worst, less the best floor", worst, "", None, f">= -{BELOW}"),
        Figure(f"{name} ECE, mean", mean["the stack"][2], "", noise, f"<= {most_error}"),
    ]


def _cell(each: Figures) -> str:
    return f"{each.area:.4f}/{each.log_loss:.3f}/{each.calibration_error:.3f}"


def _mean(rows: Sequence[Mapping[str, Figures]], model: str) -> tuple[float, float, float]:
    told = [each[model] for each in rows]
    return (
        float(np.mean([each.area for each in told])),
        float(np.mean([each.log_loss for each in told])),
        float(np.mean([each.calibration_error for each in told])),
    )


if __name__ == "__main__":
    main()
