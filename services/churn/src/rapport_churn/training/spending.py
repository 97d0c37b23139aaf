"""Learns what customers will spend: by rhythm, by trees, or the mean of both, as looking back says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.bgnbd import BgNbd
from rapport_churn.domain.facts import DAY
from rapport_churn.domain.gamma_gamma import GammaGamma
from rapport_churn.domain.labels import Horizon
from rapport_churn.domain.value import ValueModel
from rapport_churn.training.boosting import Settings
from rapport_churn.training.fitting import NotFittedError, fit_gamma_gamma
from rapport_churn.training.frame import Frame
from rapport_churn.training.members import Trees, fit_trees, folds_of, rhythm_of, thin

Floats = NDArray[np.float64]

COVERED: Final = 0.8
"""Share of customers whose spend lies within the interval."""

_SETTINGS: Final = Settings(6, 0.04, 0.4, 60, 5.0, 0.7)
_ROUNDS: Final = 120
_FEWEST: Final = 500
_ROWS: Final = 40_000
_CHOICES: Final = ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5))
_BETTER: Final = 0.01


@dataclass(frozen=True)
class Spending:
    """What was learned.

    Attributes:
        model: How it is put together.
        gamma_gamma: Value of purchases; None if nobody has spent twice.
        any_spend: Trees of the chance to spend.
        size: Trees of the logarithm of one plus the spend, if any.
        findings: For the card.
    """

    model: ValueModel
    gamma_gamma: GammaGamma | None
    any_spend: Trees | None
    size: Trees | None
    findings: dict[str, Any]

    def expected(self, frame: Frame, used: Sequence[int], rhythm: BgNbd | None) -> Floats:
        """Return the expected spend of rows."""
        by_rhythm = rhythm_spend(rhythm, self.gamma_gamma, frame, self.model.days)
        if not self.model.trees or self.any_spend is None or self.size is None:
            return np.array([self.model.of(each, 0.0, 0.0).mean for each in by_rhythm])
        values = frame.values[:, list(used)]
        chance, log_spend = _logistic(self.any_spend.log_odds(values)), self.size.log_odds(values)
        rows = zip(by_rhythm.tolist(), chance.tolist(), log_spend.tolist(), strict=True)
        return np.array([self.model.of(*row).mean for row in rows])


def rhythm_spend(rhythm: BgNbd | None, gamma_gamma: GammaGamma | None, frame: Frame, days: int) -> Floats:
    """Return BG/NBD times Gamma-Gamma for each row; zeros where there is neither."""
    if rhythm is None or gamma_gamma is None:
        return np.zeros(len(frame))
    rows = np.column_stack([frame.frequency, frame.recency, frame.tenure])
    alike, place = np.unique(rows, axis=0, return_inverse=True)
    purchases = np.array([rhythm.purchases(x, last, now, days) for x, last, now in alike])[place.ravel()]
    worth = [gamma_gamma.mean_value(x, m) for x, m in zip(frame.frequency, frame.mean_value, strict=True)]
    spend: Floats = purchases * np.array(worth)
    return spend


def learn_spending(
    frame: Frame, newest: Frame, rhythm: BgNbd | None, horizon: Horizon, used: Sequence[int]
) -> Spending | None:
    """Learn from windows whose spend is closed; None if nothing can be said.

    The last window that some others were closed before is held out, or half of the people where the log is young: they
    choose, and measure the interval. Where that cannot be, the rhythm alone is used, with an interval that is wide.
    """
    gamma_gamma = _worth(newest)
    closed = frame.rows(frame.spend >= 0)
    split = _split(closed, horizon)
    if split is None:
        if rhythm is None or gamma_gamma is None:
            return None
        offset = max(1.0, float(np.median(rhythm_spend(rhythm, gamma_gamma, newest, horizon.value_days))))
        model = ValueModel(horizon.value_days, 1.0, 0.0, 1.0, 1.0, offset, 0.0, 10.0)
        return Spending(model, gamma_gamma, None, None, {"chosen": "rhythm", "looked_back": False})
    past, judged = split
    then = rhythm_spend(rhythm_of(judged), _worth(judged), judged, horizon.value_days)
    trees = _fit(past, used)
    chance, size = _logistic(trees[0].log_odds(judged.values[:, used])), trees[1].log_odds(judged.values[:, used])
    by_trees = chance * np.expm1(np.minimum(size, 40.0)) * trees[2]
    spend = judged.spend.astype(np.float64)
    ranked = [_found(weight * then + other * by_trees, spend) for weight, other in _CHOICES]
    # The mean is robust; one alone must be clearly better, and the rhythm must have something to say.
    chosen = 2 if max(ranked) - ranked[2] < _BETTER else int(np.argmax(ranked))
    if rhythm is None or gamma_gamma is None:
        chosen = 1
    weights = _CHOICES[chosen]
    mean = weights[0] * then + weights[1] * by_trees
    offset = max(1.0, float(np.median(spend[spend > 0])) if np.any(spend > 0) else 1.0)
    low, high = _conformal((spend + offset) / (mean + offset), COVERED)
    any_spend, sizes, smear = _fit(closed, used) if weights[1] else (None, None, 1.0)
    model = ValueModel(horizon.value_days, *weights, 1.0, smear, offset, low, high)
    findings = {
        "chosen": ("rhythm", "trees", "mean")[chosen],
        "looked_back": True,
        "found": dict(zip(("rhythm", "trees", "mean"), ranked, strict=True)),
        "total_bias": float(mean.sum() / max(spend.sum(), 1.0) - 1.0),
        "covered": COVERED,
    }
    return Spending(model, gamma_gamma, any_spend, sizes, findings)


def _split(closed: Frame, horizon: Horizon) -> tuple[Frame, Frame] | None:
    """Return rows to learn from and later rows to judge by; of a young log, other people's rows."""
    if not len(closed):
        return None
    for cutoff in np.unique(closed.cutoffs)[::-1]:
        past = closed.cutoffs + (horizon.value_days + horizon.lateness_days) * DAY <= cutoff
        if _is_enough(closed, past, judged := closed.cutoffs == cutoff):
            return closed.rows(past), closed.rows(judged)
    others = folds_of(closed.profiles, 2) == 1
    newest = closed.cutoffs == closed.cutoffs.max()
    if _is_enough(closed, others, newest & ~others):
        return closed.rows(others), closed.rows(newest & ~others)
    return None


def _is_enough(closed: Frame, past: NDArray[np.bool_], judged: NDArray[np.bool_]) -> bool:
    if int(past.sum()) < _FEWEST or int(judged.sum()) < _FEWEST:
        return False
    return 0.02 < float(np.mean(closed.spend[past] > 0)) < 0.98


def _worth(frame: Frame) -> GammaGamma | None:
    try:
        return fit_gamma_gamma(frame.frequency, frame.mean_value)
    except NotFittedError:
        return None


def _fit(frame: Frame, used: Sequence[int]) -> tuple[Trees, Trees, float]:
    """Fit the chance to spend and the logarithm of the spend if any, and what makes its exponential a mean."""
    rows = thin(frame, _ROWS, 5)
    values, columns = rows.values[:, used], [rows.columns[at] for at in used]
    spent = rows.spend > 0
    any_spend = fit_trees(values, spent.astype(np.float64), columns, _SETTINGS, (1,), _ROUNDS)
    logs = np.log1p(rows.spend[spent].astype(np.float64))
    size = fit_trees(values[spent], logs, columns, _SETTINGS, (1,), _ROUNDS, objective="regression")
    told = np.expm1(size.log_odds(values[spent]))
    return any_spend, size, float(rows.spend[spent].sum() / max(told.sum(), 1.0))


def _conformal(ratios: Floats, covered: float) -> tuple[float, float]:
    """Return the ratios between which a share of new customers will lie, whatever their distribution."""
    ordered, count = np.sort(ratios), len(ratios)
    rank = min(count, ceil((count + 1) * (1.0 + covered) / 2.0)) - 1
    return float(ordered[count - 1 - rank]), float(ordered[rank])


def _found(mean: Floats, spend: Floats) -> float:
    """Return how well those who will spend are found: in all by the order, and at its top by what a tenth makes up."""
    top = np.argsort(-mean, kind="stable")[: max(1, len(mean) // 10)]
    caught = float(spend[top].sum() / max(spend.sum(), 1.0))
    return (_rank_correlation(mean, spend) + caught) / 2.0


def _rank_correlation(one: Floats, other: Floats) -> float:
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1]) if np.ptp(one) and np.ptp(other) else 0.0


def _ranks(values: Floats) -> Floats:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(count) - (count - 1) / 2.0)[place]
    return ranks


def _logistic(odds: Floats) -> Floats:
    told: Floats = 1.0 / (1.0 + np.exp(-odds))
    return told
