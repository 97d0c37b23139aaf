"""What a model must pass before it may serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, Final

from rapport_churn.app.models import Gate
from rapport_churn.domain.features import Summary
from rapport_churn.domain.scoring import Scorer

MOST_BELOW_BASELINES: Final = 0.003
"""A stack that is so much worse than the best of its members was put together in vain."""

MOST_MISCALIBRATED: Final = 0.06
"""Calibration error on windows that were not trained on, above what chance alone would give."""

MOST_MICROSECONDS: Final = 2000.0
"""Time of one score with reasons: above, nobody is answered in time."""

_TRIES: Final = 51


def gates_of(metrics: Sequence[Mapping[str, Any]], scorer: Scorer) -> list[Gate]:
    """Return what a model must pass, and how it did.

    Args:
        metrics: Its figures, from windows that were not trained on; none where there was no such window yet.
        scorer: The model.
    """
    figures = {each["name"]: each for each in metrics}
    gates: list[Gate] = []
    if (area := figures.get("auc")) is not None:
        gain = area["value"] - area["reference"]
        gates.append(Gate("not_below_baselines", gain >= -MOST_BELOW_BASELINES, gain, -MOST_BELOW_BASELINES))
    if (error := figures.get("ece")) is not None:
        above = error["value"] - error["reference"]
        gates.append(Gate("calibration", above <= MOST_MISCALIBRATED, above, MOST_MISCALIBRATED))
    took = _microseconds(scorer)
    gates.append(Gate("latency", took <= MOST_MICROSECONDS, took, MOST_MICROSECONDS))
    return gates


def _microseconds(scorer: Scorer) -> float:
    """The median time of a score."""
    row = [0.0] * len(scorer.parts.columns)
    summary = Summary(3, 60, 90, 2500.0)
    times = []
    for _ in range(_TRIES):
        began = perf_counter()
        scorer.score(row, summary)
        times.append(perf_counter() - began)
    return sorted(times)[_TRIES // 2] * 1e6
