"""The members of the stack, fitted on a frame: what each says of other rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.bgnbd import BgNbd
from rapport_churn.domain.calibration import log_loss
from rapport_churn.domain.facts import DAY
from rapport_churn.domain.linear import Linear, learn_scale
from rapport_churn.training.boosting import Fit, Settings, dataset, fit_rounds, fit_until_best
from rapport_churn.training.fitting import NotFittedError, fit_bgnbd, fit_logistic
from rapport_churn.training.frame import Column, Frame

Floats = NDArray[np.float64]

RIDGES = (3.0, 30.0, 300.0)
_YEARS_TO_KNOW_A_SEASON = 2
_MIXED = 2_654_435_761


def usable_columns(frame: Frame) -> list[int]:
    """Return the columns worth learning from.

    Left out are those that say nothing, and those that tell one cutoff from another but no two people, such as the
    month: unless the cutoffs span two years, what they say of a season was seen once.
    """
    chosen = []
    cutoffs = np.unique(frame.cutoffs)
    spans_years = int(cutoffs[-1] - cutoffs[0]) >= _YEARS_TO_KNOW_A_SEASON * 365 * DAY
    by_cutoff = [frame.values[frame.cutoffs == cutoff] for cutoff in cutoffs]
    for at in range(frame.values.shape[1]):
        tells_people = any(_varies(part[:, at]) for part in by_cutoff)
        if tells_people or (spans_years and _varies(frame.values[:, at])):
            chosen.append(at)
    return chosen


def _varies(values: Floats) -> bool:
    missing = np.isnan(values)
    if missing.all():
        return False
    return bool(missing.any()) or bool(np.any(values != values[0]))


def folds_of(profiles: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the fold of each row: all rows of a person are in one, and anybody can repeat it."""
    mixed = (profiles.astype(np.uint64) * np.uint64(_MIXED)) >> np.uint64(16)
    return (mixed % np.uint64(count)).astype(np.int64)


def thin(frame: Frame, most: int, seed: int) -> Frame:
    """Return so many rows at most, drawn at random, in their order."""
    if len(frame) <= most:
        return frame
    draw = np.random.default_rng(seed)
    return frame.rows(np.sort(draw.choice(len(frame), most, replace=False)))


def fit_linear(values: Floats, labels: Floats, columns: Sequence[Column], ridge: float) -> Linear:
    """Fit the logistic member.

    Raises:
        NotFittedError: It does not settle.
    """
    scale = learn_scale(values, [column.categorical for column in columns])
    scaled = scale(values)
    centres = scaled.mean(axis=0)
    fit = fit_logistic(scaled - centres, labels, ridge=ridge)
    return Linear(scale, fit.intercept, fit.coefficients, centres)


def choose_ridge(frame: Frame, used: Sequence[int], folds: int = 3) -> float:
    """Return the penalty under which people who were held out were told best."""
    fold, values, labels = folds_of(frame.profiles, folds), frame.values[:, used], frame.churned.astype(np.float64)
    columns = [frame.columns[at] for at in used]

    def loss(ridge: float) -> float:
        total = 0.0
        for held in range(folds):
            inside = fold != held
            fit = fit_linear(values[inside], labels[inside], columns, ridge)
            total += log_loss(labels[~inside], fit.log_odds(values[~inside])) * np.count_nonzero(~inside)
        return total / len(labels)

    return min(RIDGES, key=loss)


def rhythm_of(frame: Frame) -> BgNbd | None:
    """Fit BG/NBD on the newest cutoff of a frame; it needs no labels. None for a plain table or too thin data."""
    if not len(frame.frequency):
        return None
    newest = frame.cutoffs == frame.cutoffs.max()
    known = newest & ~np.isnan(frame.frequency)
    try:
        return fit_bgnbd(frame.frequency[known], frame.recency[known], frame.tenure[known], penalty=1e-5)
    except NotFittedError:
        return None


def rhythm_log_odds(model: BgNbd, frame: Frame, days: int) -> Floats:
    """Return BG/NBD's log-odds of no purchase for each row; equal rows are computed once."""
    rows = np.column_stack([frame.frequency, frame.recency, frame.tenure])
    alike, place = np.unique(rows, axis=0, return_inverse=True)
    odds = [model.log_odds_churn(x, last, now, days) for x, last, now in alike]
    return np.array(odds)[place.ravel()]


@dataclass(frozen=True)
class Trees:
    """Fits of boosted trees with several seeds."""

    fits: tuple[Fit, ...]

    def log_odds(self, values: Floats) -> Floats:
        """Return the mean of what they say."""
        told: Floats = np.mean([fit.log_odds(values) for fit in self.fits], axis=0)
        return told


def fit_trees(
    values: Floats,
    labels: Floats,
    columns: Sequence[Column],
    settings: Settings,
    seeds: Sequence[int],
    rounds: int,
    objective: str = "binary",
) -> Trees:
    """Fit a bag of a given number of rounds."""
    rows = dataset(values, labels, columns)
    return Trees(tuple(fit_rounds(rows, settings, objective, seed, rounds) for seed in seeds))


def fit_stopped(
    values: Floats,
    labels: Floats,
    held_out: NDArray[np.bool_],
    columns: Sequence[Column],
    settings: Sequence[Settings],
    most_rounds: int,
) -> list[Fit]:
    """Fit with each of several settings until held-out rows are told best; the rows are binned once."""
    rows = dataset(values[~held_out], labels[~held_out], columns)
    judged = dataset(values[held_out], labels[held_out], columns, rows)
    return [fit_until_best(rows, judged, each, most_rounds) for each in settings]
