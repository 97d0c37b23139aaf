"""What a model must pass before it may serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any, Final, NamedTuple

from rapport_churn.app.models import Gate
from rapport_churn.domain.calibration import chances
from rapport_churn.domain.fairness import audit
from rapport_churn.domain.features import Summary
from rapport_churn.domain.gains import gain
from rapport_churn.domain.judged import Judged
from rapport_churn.domain.scoring import Scorer

MOST_BELOW_BASELINES: Final = 0.003
"""A stack that is so much worse than the best of its members was put together in vain."""

LEAST_GAIN: Final = 0.0
"""Gain in log-loss over the champion that chance must allow for: whoever is worse beyond chance does not serve."""

MOST_MISCALIBRATED: Final = 0.06
"""Calibration error on windows that were not trained on, above what chance alone would give."""

MOST_UNEQUAL: Final = 0.1
"""Difference between groups in who is caught and who is picked in vain, beyond what chance explains."""

MOST_MISCALIBRATED_GROUP: Final = 0.1
"""Distance of expected from real share of a group, beyond the same."""

MOST_MICROSECONDS: Final = 2000.0
"""Time of one score with reasons: above, nobody is answered in time."""

_TRIES: Final = 51
_SEED: Final = 1


class Champion(NamedTuple):
    """The model that serves: what scores, and when the last window ended that it learned from, in microseconds."""

    scorer: Scorer
    trained_until: int


def gates_of(
    metrics: Sequence[Mapping[str, Any]],
    scorer: Scorer,
    judged: Judged | None = None,
    champion: Champion | None = None,
) -> list[Gate]:
    """Return what a model must pass, and how it did.

    Args:
        metrics: Its figures, from windows that were not trained on; none where there was no such window yet.
        scorer: The model.
        judged: The newest such window; None where there was none.
        champion: The model that serves; None while none does.
    """
    gates = list(_looked_back(metrics))
    if judged is not None and champion is not None:
        gates.append(_against(champion, scorer, judged))
    if judged is not None:
        gates += _fairness(judged)
    took = _microseconds(scorer)
    gates.append(Gate("latency", took <= MOST_MICROSECONDS, took, MOST_MICROSECONDS))
    return gates


def _looked_back(metrics: Sequence[Mapping[str, Any]]) -> Iterator[Gate]:
    figures = {each["name"]: each for each in metrics}
    if (area := figures.get("auc")) is not None:
        above = area["value"] - area["reference"]
        yield Gate("not_below_baselines", above >= -MOST_BELOW_BASELINES, above, -MOST_BELOW_BASELINES)
    if (error := figures.get("ece")) is not None:
        above = error["value"] - error["reference"]
        yield Gate("calibration", above <= MOST_MISCALIBRATED, above, MOST_MISCALIBRATED)


def _against(champion: Champion, scorer: Scorer, judged: Judged) -> Gate:
    """Hold a model against the champion on the same people.

    If the champion learned from some of what happened in the window, it is held against the model as it would serve,
    which learned from it too; else against what the model would have told then.
    """
    people = judged.purchases()
    knew = champion.trained_until > judged.cutoff
    said = scorer.log_odds_of(judged.values, people) if knew else judged.said
    found = gain(judged.labels, said, champion.scorer.log_odds_of(judged.values, people), seed=_SEED)
    return Gate("gain_over_champion", found.high >= LEAST_GAIN, found.high, LEAST_GAIN)


def _fairness(judged: Judged) -> Iterator[Gate]:
    found = audit(judged.labels, chances(judged.said), judged.groups.tolist())
    if len(found.groups) > 1:
        yield Gate("fairness_caught", found.caught_gap <= MOST_UNEQUAL, found.caught_gap, MOST_UNEQUAL)
        alarms = found.false_alarms_gap
        yield Gate("fairness_false_alarms", alarms <= MOST_UNEQUAL, alarms, MOST_UNEQUAL)
        off = found.calibration_gap
        yield Gate("fairness_calibration", off <= MOST_MISCALIBRATED_GROUP, off, MOST_MISCALIBRATED_GROUP)


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
