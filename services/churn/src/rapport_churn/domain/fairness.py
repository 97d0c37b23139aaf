"""Whether a model errs alike for groups of people: who is picked, who is missed, and what chances mean for each.

Groups come from data held with consent for this audit alone; no model sees them. Leaving a column out makes a model
blind to it, not fair: only figures for each group tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PICKED: Final = 0.2
FEWEST: Final = 50
"""Of smaller groups nothing is said: it would be noise, and might name somebody."""


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """Figures of one group.

    Attributes:
        group: Its name.
        rows: Its people.
        rate: Share who left.
        expected: Share that was expected to.
        picked: Share among those most at risk of all.
        caught: Of those who left, the share that was picked.
        caught_error: Standard error of it.
        false_alarms: Of those who stayed, the share that was picked.
        false_alarms_error: Standard error of it.
        calibration_gap: Expected less real share.
        calibration_error: Standard error of it.
    """

    group: str
    rows: int
    rate: float
    expected: float
    picked: float
    caught: float
    caught_error: float
    false_alarms: float
    false_alarms_error: float
    calibration_gap: float
    calibration_error: float


@dataclass(frozen=True, slots=True)
class Audit:
    """All groups, and the largest difference of each kind that chance does not explain.

    Attributes:
        groups: Those large enough, by name.
        left_out: Groups too small to be judged.
        caught_gap: Largest difference in who is caught, less what chance explains; 0 for none.
        false_alarms_gap: The same for those who stayed.
        calibration_gap: Largest distance of expected from real share, less what chance explains.
    """

    groups: tuple[GroupFigures, ...]
    left_out: int
    caught_gap: float
    false_alarms_gap: float
    calibration_gap: float

    def passes(self, allowed: float) -> bool:
        """Whether no difference beyond chance is larger than allowed."""
        return max(self.caught_gap, self.false_alarms_gap, self.calibration_gap) <= allowed


def audit(
    labels: Floats, chance: Floats, groups: Sequence[str], *, picked: float = PICKED, confidence: float = 0.95
) -> Audit:
    """Return figures for each group.

    Args:
        labels: Who left.
        chance: What was said.
        groups: The group of each; empty for unknown, which is left out.
        picked: Share of all people that is picked, those most at risk first.
        confidence: Chance with which differences of equal groups are explained away, over all pairs.
    """
    chosen = np.zeros(len(chance), dtype=np.bool_)
    chosen[np.argsort(-chance, kind="stable")[: round(picked * len(chance))]] = True
    names = np.array(groups, dtype=object)
    figures, small = [], 0
    for name in sorted({each for each in groups if each}):
        of = names == name
        if int(of.sum()) < FEWEST:
            small += 1
            continue
        figures.append(_figures(name, labels[of], chance[of], chosen[of]))
    pairs = max(1, len(figures) * (len(figures) - 1) // 2)
    width = NormalDist().inv_cdf(1.0 - (1.0 - confidence) / (2.0 * pairs))
    return Audit(
        groups=tuple(figures),
        left_out=small,
        caught_gap=_gap([(each.caught, each.caught_error) for each in figures], width),
        false_alarms_gap=_gap([(each.false_alarms, each.false_alarms_error) for each in figures], width),
        calibration_gap=max([0.0, *(abs(each.calibration_gap) - width * each.calibration_error for each in figures)]),
    )


def _figures(name: str, labels: Floats, chance: Floats, chosen: NDArray[np.bool_]) -> GroupFigures:
    left = labels > 0.5
    caught, caught_error = _share(chosen[left])
    alarms, alarms_error = _share(chosen[~left])
    return GroupFigures(
        group=name,
        rows=len(labels),
        rate=float(labels.mean()),
        expected=float(chance.mean()),
        picked=float(chosen.mean()),
        caught=caught,
        caught_error=caught_error,
        false_alarms=alarms,
        false_alarms_error=alarms_error,
        calibration_gap=float(chance.mean() - labels.mean()),
        calibration_error=sqrt(float(np.sum(chance * (1.0 - chance)))) / len(chance),
    )


def _share(chosen: NDArray[np.bool_]) -> tuple[float, float]:
    """Return a share and its standard error, which is not zero where all were treated alike."""
    count = len(chosen)
    if not count:
        return 0.0, 1.0
    share = float(chosen.mean())
    # Agresti and Coull: two of each kind are added.
    near = (float(chosen.sum()) + 2.0) / (count + 4.0)
    return share, sqrt(near * (1.0 - near) / (count + 4.0))


def _gap(shares: Sequence[tuple[float, float]], width: float) -> float:
    largest = 0.0
    for at, (one, error) in enumerate(shares):
        for other, other_error in shares[at + 1 :]:
            largest = max(largest, abs(one - other) - width * sqrt(error * error + other_error * other_error))
    return largest
