"""How a chance for one time becomes a chance for another: proportional hazards.

If everybody's hazard is one curve times a number of their own, the chance of still being away after some days is that
after the horizon, to the power of the share of the cumulative hazard that falls before. The power grows with the days,
so a longer time is never less likely to bring somebody back: the curves never cross.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log1p
from typing import Final

import numpy as np
from numpy.typing import NDArray

_STEPS: Final = 60


@dataclass(frozen=True, slots=True)
class Hazard:
    """The shared curve.

    Attributes:
        horizon: Days that the curve is one at.
        days: Days of its steps, ascending, the horizon last.
        shares: Share of the cumulative hazard before each, ascending, one last.
    """

    horizon: int
    days: tuple[float, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.days, self.days[1:], strict=False))
        growing = all(a <= b for a, b in zip((0.0, *self.shares), self.shares, strict=False))
        if not self.days or self.days[-1] != self.horizon or self.shares[-1] != 1.0 or not (rising and growing):
            raise ValueError("a curve of hazard rises to one at its horizon")

    def share(self, days: float) -> float:
        """Return the share at some days: between two steps along the line, beyond the horizon at its mean pace."""
        if days >= self.horizon:
            return days / self.horizon
        at = bisect_right(self.days, days)
        before, after = (self.days[at - 1] if at else 0.0), self.days[at]
        low, high = (self.shares[at - 1] if at else 0.0), self.shares[at]
        return low + (high - low) * (days - before) / (after - before)

    def churn(self, log_odds: float, days: float) -> float:
        """Return the chance of no purchase within some days, from the log-odds of none within the horizon."""
        log_chance = -log1p(exp(-log_odds)) if log_odds >= 0 else log_odds - log1p(exp(log_odds))
        return exp(log_chance * self.share(days))


def learn_hazard(next_days: NDArray[np.float64], horizon: int) -> Hazard:
    """Return the curve of closed windows.

    Args:
        next_days: Days from each cutoff to the next purchase; infinity for none within the horizon.
        horizon: Days of the windows.
    """
    days = np.unique(np.ceil(np.linspace(horizon / _STEPS, horizon, _STEPS)))
    # Half a row is added on both sides: the curve is finite if all come back, and rises if nobody does.
    away = (np.sum(next_days[:, None] > days[None, :], axis=0) + 0.5) / (len(next_days) + 1.0)
    hazard = -np.log(np.minimum.accumulate(away))
    shares: Sequence[float] = (hazard / hazard[-1]).tolist()
    return Hazard(horizon, tuple(days.tolist()), (*shares[:-1], 1.0))
