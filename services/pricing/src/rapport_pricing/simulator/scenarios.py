"""The seven worlds in which policies are compared, each drawn from a seed.

1 logit, no cost. 2 linear demand, no cost. 3 logit, the cost 60 % of the best price. 4 as 3, one to four visitors of
a hundred buy. 5 as 3, three public covariates move level and slope. 6 as 3, half-way the best price jumps by +30 % or
-28 %. 7 valuations with two humps. The price that a seller starts from is a quarter off the best one, up or down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from rapport_pricing.simulator.demand import Demand, Floats, Linear, Logit, TwoHumps, best_price

SCENARIOS: Final = (1, 2, 3, 4, 5, 6, 7)
LOWEST: Final = 1_000
HIGHEST: Final = 10_000
VISITS: Final = 10_000
"""Prices of every world stay between these, in minor units."""

_JUMPS: Final = (0.72, 1.3)
_COVARIATES: Final = 3
_LEAST_SLOPE: Final = 0.4


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of visits with one curve of demand.

    Attributes:
        since: First visit.
        demand: The curve.
        best: Price of highest contribution.
        earns: Contribution a visit there.
    """

    since: int
    demand: Demand
    best: float
    earns: float


@dataclass(frozen=True, slots=True)
class World:
    """A seller's season.

    Attributes:
        scenario: Which of the seven.
        cost: Of one piece.
        incumbent: The price the seller starts from.
        lowest: Lowest price that a policy may try.
        highest: Highest price that a policy may try.
        phases: In order; one unless demand shifts.
        luck: A number from 0 to 1 for each visit: it buys where this is below the chance.
        covariates: One row a visit where they move demand (scenario 5), else empty.
        level_of: How covariates move the log-odds.
        slope_of: How they move the slope, as shares of it.
    """

    scenario: int
    cost: int
    incumbent: int
    lowest: int
    highest: int
    phases: tuple[Phase, ...]
    luck: Floats
    covariates: Floats
    level_of: Floats
    slope_of: Floats

    @property
    def visits(self) -> int:
        """How many visits there are."""
        return len(self.luck)

    def demand_at(self, visit: int) -> Demand:
        """Return the curve that one visitor buys by."""
        phase = self.phases[0]
        for later in self.phases[1:]:
            if visit >= later.since:
                phase = later
        if self.scenario != 5:
            return phase.demand
        logit = phase.demand
        assert isinstance(logit, Logit)
        seen = self.covariates[visit]
        middle = phase.best
        slope = logit.slope * max(1 + float(seen @ self.slope_of), _LEAST_SLOPE)
        level = logit.level - logit.slope * middle + float(seen @ self.level_of)
        return Logit(level + slope * middle, slope)


def build(scenario: int, seed: int, visits: int = VISITS) -> World:
    """Return a world; the same arguments give the same one.

    Args:
        scenario: 1 to 7.
        seed: Any; even ones start too low, odd ones too high.
        visits: Length of the season.
    """
    draw = np.random.default_rng([scenario, seed])
    best = draw.uniform(4500, 7500)
    demand: Demand
    cost = 0.0
    if scenario == 1:
        demand = Logit.with_best(best, 0, draw.uniform(0.2, 0.5))
    elif scenario == 2:
        demand = Linear(2 * best, draw.uniform(0.4, 0.9))
    elif scenario == 7:
        cost = 3500.0
        demand = _two_humps(draw, cost)
    else:
        cost = 0.6 * best
        demand = Logit.with_best(best, cost, draw.uniform(0.01, 0.04) if scenario == 4 else draw.uniform(0.2, 0.4))
    cost = float(round(cost))
    phases = [_phase(0, demand, cost)]
    if scenario == 6 and isinstance(demand, Logit):
        jump = _JUMPS[(seed // 2) % 2]
        phases.append(_phase(visits // 2, demand.moved_to(phases[0].best * jump, cost), cost))
    incumbent = round(phases[0].best * (1.25 if seed % 2 else 0.75))
    middle = phases[0].best * draw.uniform(0.95, 1.05)
    return World(
        scenario=scenario,
        cost=round(cost),
        incumbent=incumbent,
        lowest=max(round(0.6 * middle), round(cost) + 1),
        highest=round(1.5 * middle),
        phases=tuple(phases),
        luck=draw.random(visits),
        covariates=np.clip(draw.standard_normal((visits if scenario == 5 else 0, _COVARIATES)), -2, 2),
        level_of=draw.choice([-1, 1], _COVARIATES) * draw.uniform(0.2, 0.6, _COVARIATES),
        slope_of=draw.choice([-1, 1], _COVARIATES) * draw.uniform(0.05, 0.15, _COVARIATES),
    )


def _phase(since: int, demand: Demand, cost: float) -> Phase:
    best, earns = best_price(demand, cost, max(LOWEST, cost), 1.5 * HIGHEST)
    return Phase(since, demand, best, earns)


def _two_humps(draw: np.random.Generator, cost: float) -> TwoHumps:
    """Draw until contribution has two tops with a valley between them, neither of them nearly as good as the other."""
    while True:
        demand = TwoHumps(
            draw.uniform(0.4, 0.8),
            draw.uniform(4600, 5800),
            draw.uniform(400, 800),
            draw.uniform(7600, 9200),
            draw.uniform(400, 800),
        )
        prices = np.linspace(cost, HIGHEST, 261)
        earned = np.array([(price - cost) * demand.chance(price) for price in prices])
        tops = [at for at in range(1, 260) if earned[at - 1] < earned[at] >= earned[at + 1]]
        if len(tops) == 2:
            low, high = sorted(earned[tops])
            valley = earned[tops[0] : tops[1]].min()
            if 0.7 < low / high < 0.97 and valley < 0.97 * low:
                return demand
