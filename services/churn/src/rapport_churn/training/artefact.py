"""What was learned as files: `model.json`, the text of trees, and the salted list of whom it was learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from rapport_churn.domain.facts import DAY
from rapport_churn.domain.labels import Horizon, PopulationRule
from rapport_churn.domain.parts import MODEL, SPEND, SPENDS, TREES, Parts
from rapport_churn.domain.segments import Fifths
from rapport_churn.domain.survival import Hazard, learn_hazard
from rapport_churn.training.boosting import bagged
from rapport_churn.training.frame import Floats, Frame
from rapport_churn.training.members import Trees
from rapport_churn.training.recipe import Learned
from rapport_churn.training.spending import Spending

_PROBES: Final = 9
_HUNDREDTHS: Final = 101


@dataclass(frozen=True)
class Scope:
    """What is said of a model beside what it learned.

    Attributes:
        feature_set: Digest of the feature set.
        horizon: How far labels looked ahead.
        population: Of whom it speaks.
    """

    feature_set: str
    horizon: Horizon
    population: PopulationRule


def write_artefact(
    frame: Frame, newest: Frame, learned: Learned, spending: Spending | None, scope: Scope
) -> dict[str, bytes]:
    """Return the files that `Scorer.load` reads.

    Args:
        frame: What was learned from.
        newest: Rows of now; of a plain table, the table.
        learned: The stack.
        spending: The value model; None where nothing can be said.
        scope: What is said beside.
    """
    texts: dict[str, str] = {}
    bags: dict[str, Trees] = {}
    if learned.trees is not None:
        bags[TREES] = learned.trees
    if spending is not None and spending.any_spend is not None and spending.size is not None:
        bags |= {SPENDS: spending.any_spend, SPEND: spending.size}
    texts = {name: bagged(trees.fits) for name, trees in bags.items()}
    probes = _probes(newest, learned.used) if bags else np.empty((0, 0))
    said = learned.log_odds(newest, scope.horizon.days)
    known = len(newest.frequency) > 0
    parts = Parts(
        columns=tuple((column.name, column.group, column.categorical) for column in newest.columns),
        used=learned.used,
        feature_set=scope.feature_set,
        horizon=scope.horizon,
        population=scope.population,
        stack=learned.stack,
        centres={member: float(np.mean(odds)) for member, odds in said.items()},
        logistic=learned.linear,
        bgnbd=learned.rhythm,
        gamma_gamma=spending.gamma_gamma if spending is not None else None,
        hazard=_hazard(frame, learned, newest, scope.horizon),
        value=spending.model if spending is not None else None,
        ranks=_hundredths(learned.scores(newest, scope.horizon.days)),
        fifths=_fifths(newest) if known else None,
        probes={
            "rows": probes.tolist(),
            "log_odds": {name: trees.log_odds(probes).tolist() for name, trees in bags.items()},
        },
    )
    return {MODEL: parts.dump(), **{name: text.encode() for name, text in texts.items()}}


def _probes(frame: Frame, used: Sequence[int]) -> Floats:
    """Return made-up rows, each a quantile of every column: nobody's, and spread over all splits."""
    rows = np.empty((_PROBES, len(used)))
    for place, at in enumerate(used):
        known = np.sort(frame.values[~np.isnan(frame.values[:, at]), at])
        if len(known):
            rows[:, place] = known[np.linspace(0, len(known) - 1, _PROBES).astype(np.intp)]
        else:
            rows[:, place] = np.nan
        if len(known) < len(frame):
            rows[place % _PROBES, place] = np.nan
    return rows


def _hazard(frame: Frame, learned: Learned, newest: Frame, horizon: Horizon) -> Hazard:
    """Return the curve of closed windows; without any, that of the rhythm of buying."""
    if len(frame):
        return learn_hazard(frame.next_days, horizon.days)
    assert learned.rhythm is not None
    days = np.arange(1.0, horizon.days + 1.0)
    away = np.zeros(len(days))
    rows = np.column_stack([newest.frequency, newest.recency, newest.tenure])
    alike, count = np.unique(rows, axis=0, return_counts=True)
    for (x, last, now), weight in zip(alike, count, strict=True):
        away += weight * np.array([learned.rhythm.churn(x, last, now, day) for day in days])
    hazard = -np.log(away / count.sum())
    return Hazard(horizon.days, tuple(days.tolist()), (*(hazard / hazard[-1]).tolist()[:-1], 1.0))


def _hundredths(log_odds: Floats) -> tuple[float, ...]:
    return tuple(np.quantile(log_odds, np.linspace(0.0, 1.0, _HUNDREDTHS)).tolist())


def _fifths(newest: Frame) -> Fifths:
    silent = newest.tenure - newest.recency
    return Fifths.fit(
        silent.tolist(), (newest.frequency + 1.0).tolist(), (newest.frequency * newest.mean_value).tolist()
    )


def windows_of(frame: Frame) -> Mapping[str, Any]:
    """Return how many rows each cutoff has and how many of them left, by the cutoff's day since 1970, for a card."""
    cutoffs, place = np.unique(frame.cutoffs, return_inverse=True)
    counts = np.bincount(place, minlength=len(cutoffs))
    left = np.bincount(place, frame.churned, minlength=len(cutoffs))
    return {
        str(int(at) // DAY): [int(rows), int(churned)] for at, rows, churned in zip(cutoffs, counts, left, strict=True)
    }
