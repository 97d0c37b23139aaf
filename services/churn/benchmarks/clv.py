"""What customers will spend: the value model against BG/NBD times Gamma-Gamma, and how fast the rhythm is fitted.

python services/churn/benchmarks/clv.py
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import numpy as np
from churn_data import instant, log_of
from logs import EVERY_DAYS, HORIZON, POPULATION
from rapport_churn.domain.facts import DAY
from rapport_churn.domain.features import DEFAULT_FEATURES
from rapport_churn.domain.labels import closed_cutoffs
from rapport_churn.training.fitting import fit_bgnbd
from rapport_churn.training.frame import Floats, Frame
from rapport_churn.training.members import rhythm_of, usable_columns
from rapport_churn.training.offline import rebuild
from rapport_churn.training.spending import learn_spending, rhythm_spend
from rapport_testing.bench import Figure, write_figures
from scipy.stats import spearmanr

ROOT: Final = Path(__file__).resolve().parents[3]
DATES: Final = ("2010-10-01", "2010-11-01", "2010-12-10")


def main() -> None:
    """Measure and print."""
    figures = [*value(), fit_speed()]
    print(f"written to {write_figures(ROOT / 'build' / 'bench' / 'churn-clv.jsonl', figures).relative_to(ROOT)}")


def value() -> list[Figure]:
    """Judge what is expected to be spent in the next 180 days on Retail."""
    log = log_of("retail")
    first, last = log.span()
    ours: list[tuple[float, float]] = []
    floors: list[tuple[float, float]] = []
    print("retail, spend in 180 days: rank correlation / caught by the top tenth / total bias / within the interval")
    for date in DATES:
        cutoff = instant(date)
        closed = closed_cutoffs(first + HORIZON.days * DAY // 4, cutoff, HORIZON, EVERY_DAYS)
        train = rebuild(log, DEFAULT_FEATURES, closed, HORIZON, now=cutoff, population=POPULATION)
        now = rebuild(log, DEFAULT_FEATURES, [cutoff], HORIZON, now=last + DAY, population=POPULATION)
        rhythm, used = rhythm_of(now), usable_columns(train)
        learned = learn_spending(train, now, rhythm, HORIZON, used)
        assert learned is not None
        mean, spend = learned.expected(now, used, rhythm), now.spend.astype(np.float64)
        floor = rhythm_spend(rhythm, learned.gamma_gamma, now, HORIZON.value_days)
        low = np.maximum(0.0, (mean + learned.model.offset) * learned.model.low - learned.model.offset)
        high = (mean + learned.model.offset) * learned.model.high - learned.model.offset
        within = float(np.mean((spend >= low) & (spend <= high)))
        ours.append(judge(mean, spend))
        floors.append(judge(floor, spend))
        print(f"  {date} {learned.findings['chosen']:<8}{_cells(mean, spend)} / {within:.2f}")
        print(f"  {date} BG/NBD x GG {_cells(floor, spend)}", flush=True)
    means, bounds = np.mean(ours, axis=0), np.mean(floors, axis=0)
    return [
        Figure("value rank correlation", float(means[0]), "", float(bounds[0]), ">= 1.0"),
        Figure("value caught by the top tenth", float(means[1]), "", float(bounds[1]), ">= 1.0"),
    ]


def judge(mean: Floats, spend: Floats) -> tuple[float, float]:
    """Return the rank correlation, and the share of the spend that the tenth expected to spend most made up."""
    top = np.argsort(-mean, kind="stable")[: len(mean) // 10]
    return float(spearmanr(mean, spend).statistic), float(spend[top].sum() / spend.sum())


def _cells(mean: Floats, spend: Floats) -> str:
    correlation, caught = judge(mean, spend)
    return f"{correlation:.4f} / {caught:.4f} / {mean.sum() / spend.sum() - 1:+.2f}"


def fit_speed() -> Figure:
    """Fit BG/NBD on all customers of CDNOW."""
    frame: Frame = rebuild(
        log_of("cdnow"), DEFAULT_FEATURES, [instant("1997-09-30")], HORIZON, now=instant("1998-07-01")
    )
    began = time.process_time()
    model = fit_bgnbd(frame.frequency, frame.recency, frame.tenure)
    took = time.process_time() - began
    print(f"BG/NBD on {len(frame)} customers of CDNOW: {took:.2f} s; {model}")
    return Figure(f"BG/NBD fit of {len(frame)} customers", took, "s", 1.0, "<= 1")


if __name__ == "__main__":
    main()
