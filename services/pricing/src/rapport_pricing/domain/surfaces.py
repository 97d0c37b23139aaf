"""Public prices that follow public circumstances: the season, the weather, the demand of the hour; never a person.

One logit curve whose level and slope move with covariates, learned by a Laplace approximation in batches of one
version. A version is a whole price surface: for each circumstance the price of highest contribution, in closed form.
From one version to the next no circumstance sees its price move by more than the bounded step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from rapport_pricing.domain.demand import Floats

_NEWTON_STEPS: Final = 3
_LEAST_SLOPE: Final = 0.3
_HIGHEST_WAVE: Final = 0.15
_PERIOD: Final = 24
_HALVINGS: Final = 14


@dataclass(frozen=True, slots=True)
class SurfaceSettings:
    """How a surface is learned.

    Attributes:
        hold: Visits that a version is held for, at least.
        step: Largest change of any circumstance's price between versions, in its logarithm.
        dispersion: Height of the wave of prices, as a share of the uncertainty of the slope.
        reach: Covariates are cut to this on either side.
    """

    hold: int = 25
    step: float = math.log(1.049)
    dispersion: float = 0.5
    reach: float = 2.0


@dataclass(frozen=True, slots=True)
class SurfaceBelief:
    """What is believed of level, slope and how covariates move them; prices are ratios to the anchor.

    Attributes:
        mean: Level at the anchor, slope, then for each covariate its move of the level, then of the slope.
        precision: Inverse of the covariance.
    """

    mean: Floats
    precision: Floats

    @classmethod
    def before(cls, covariates: int, *, level: float = -1.5, slope: float = 2.7) -> SurfaceBelief:
        """Return what is believed before anything is seen."""
        mean = np.zeros(2 + 2 * covariates)
        mean[:2] = level, slope
        deviations = np.concatenate(([2.0, 1.5], np.full(covariates, 0.5), np.full(covariates, 0.8)))
        return cls(mean, np.diag(deviations**-2.0))


def rows_of(ratios: Floats, covariates: Floats) -> Floats:
    """Return the regressors of visits: one row each."""
    fall = 1 - ratios[:, None]
    rows: Floats = np.concatenate((np.ones_like(fall), fall, covariates, fall * covariates), axis=1)
    return rows


def learn(belief: SurfaceBelief, ratios: Floats, covariates: Floats, bought: Floats) -> SurfaceBelief:
    """Return the belief after the visits of one version, all at once, so that their order does not matter.

    Args:
        belief: Before them.
        ratios: Price over anchor.
        covariates: One row a visit.
        bought: 1 or 0.
    """
    rows = rows_of(ratios, covariates)
    mean, hessian = belief.mean, belief.precision
    for _ in range(_NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(rows @ mean, -30, 30)))
        hessian = belief.precision + (rows * (chance * (1 - chance))[:, None]).T @ rows
        slope = rows.T @ (bought - chance) - belief.precision @ (mean - belief.mean)
        mean = mean + np.linalg.solve(hessian, slope)
    return SurfaceBelief(mean, hessian)


@dataclass(frozen=True, slots=True)
class Surface:
    """A published price surface.

    Attributes:
        theta: Level, slope, and their moves.
        cost: Over the anchor.
        lowest: Lowest ratio that guardrails allow.
        highest: Highest ratio.
        shift: Moves every price, in its logarithm: the dispersion that keeps the slope from being guessed for ever.
    """

    theta: Floats
    cost: float
    lowest: float
    highest: float
    shift: float = 0.0

    def ratio(self, covariates: Floats) -> float:
        """Return the price over the anchor for one circumstance: the one of highest contribution, in closed form."""
        count = len(covariates)
        level = float(self.theta[0] + self.theta[2 : 2 + count] @ covariates)
        slope = max(float(self.theta[1] + self.theta[2 + count :] @ covariates), _LEAST_SLOPE)
        best = self.cost + (1 + lambert_w(math.exp(min(level + slope - 1 - slope * self.cost, 600.0)))) / slope
        return min(max(best * math.exp(self.shift), self.lowest), self.highest)


def next_surface(
    last: Surface, belief: SurfaceBelief, settings: SurfaceSettings, corners: Floats, turn: int
) -> Surface:
    """Return the next version: as far towards what is believed as the step allows at every corner.

    All prices rise and fall together in a slow wave, as high as the slope is uncertain: covariates that move price and
    demand at once would otherwise hide what the price does.

    Args:
        last: The version in force.
        belief: What is believed now.
        settings: The step, and how much is drawn.
        corners: Circumstances at which the step is checked, at the edge of what can occur.
        turn: Number of the version.
    """
    theta = belief.mean
    unsure = math.sqrt(float(np.linalg.inv(belief.precision)[1, 1])) / max(float(belief.mean[1]), _LEAST_SLOPE)
    wave = min(settings.dispersion * unsure, _HIGHEST_WAVE) * math.sin(2 * math.pi * turn / _PERIOD)
    before = [math.log(last.ratio(corner)) for corner in corners]
    part = 1.0
    for _ in range(_HALVINGS):
        surface = replace(
            last, theta=last.theta + part * (theta - last.theta), shift=last.shift + part * (wave - last.shift)
        )
        moved = max(abs(math.log(surface.ratio(corner)) - was) for corner, was in zip(corners, before, strict=True))
        if moved <= settings.step:
            return surface
        part *= 0.6
    return last


def lambert_w(value: float) -> float:
    """Return w with w * exp(w) == value, for a value of zero or more, by Halley's steps."""
    if value == 0:
        return 0.0
    w = math.log1p(value) * 0.7 if value < 3 else math.log(value) - math.log(math.log(value))
    for _ in range(12):
        grown = math.exp(w)
        miss = w * grown - value
        step = miss / (grown * (w + 1) - (w + 2) * miss / (2 * w + 2))
        w -= step
        if abs(step) <= 1e-13 * (1 + abs(w)):
            break
    return w
