"""The service's price surfaces as a policy of the simulator, for the world whose demand follows public covariates."""

from __future__ import annotations

import itertools
import math

import numpy as np

from rapport_pricing.domain.demand import Floats
from rapport_pricing.domain.surfaces import Surface, SurfaceBelief, SurfaceSettings, learn, next_surface
from rapport_pricing.simulator.scenarios import World


class SurfaceSeller:
    """Publishes a surface, holds it, learns from what it sold, publishes the next."""

    def __init__(self, world: World, seed: int = 0, *, settings: SurfaceSettings | None = None) -> None:
        """Begin at the incumbent price in every circumstance; the seed changes nothing, since nothing is drawn."""
        del seed
        self._settings = settings or SurfaceSettings()
        self._anchor = world.incumbent
        count = world.covariates.shape[1]
        self._belief = SurfaceBelief.before(count)
        cost = world.cost / world.incumbent
        theta = np.zeros(2 + 2 * count)
        theta[1] = 1 / ((1 - cost) * 0.8)
        theta[0] = math.log(0.2 / 0.8)
        self.surfaces = [Surface(theta, cost, world.lowest / world.incumbent, 2.0)]
        reach = self._settings.reach
        self._corners = np.array(list(itertools.product((-reach, 0.0, reach), repeat=count)))
        self._seen: list[tuple[float, Floats, bool]] = []

    def price(self, covariates: Floats) -> int:
        """Return the published price of a circumstance."""
        if len(self._seen) == self._settings.hold:
            self._publish()
        return round(self.surfaces[-1].ratio(covariates) * self._anchor)

    def learn(self, price: int, bought: bool, covariates: Floats) -> None:
        """Hear how a visit ended."""
        self._seen.append((price / self._anchor, covariates, bought))

    def _publish(self) -> None:
        ratios, covariates, bought = zip(*self._seen, strict=True)
        self._belief = learn(self._belief, np.array(ratios), np.array(covariates), np.array(bought, dtype=np.float64))
        self._seen = []
        turn = len(self.surfaces)
        self.surfaces.append(next_surface(self.surfaces[-1], self._belief, self._settings, self._corners, turn))
