"""Other people's learners as policies of the simulator: river, mabwiser and Vowpal Wabbit, each as its makers show it.

They choose among ten prices; the margin is folded into their reward, which is all that they hear. None is installed
with the service: a comparison uses those that are there (`pip install river mabwiser vowpalwabbit`).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import numpy as np

from rapport_pricing.simulator.demand import Floats
from rapport_pricing.simulator.scenarios import World

_PRICES: Final = 10
_ALPHA: Final = 0.3


class _Peer:
    """Ten prices and what each earns, as a share of the most that one can."""

    def __init__(self, world: World, seed: int) -> None:
        self.prices: Final = np.linspace(world.lowest, world.highest, _PRICES).round()
        self.margins: Final = (self.prices - world.cost) / (self.prices[-1] - world.cost)
        self.seed: Final = seed
        self.at = 0

    def reward(self, bought: bool) -> float:
        """Return what a visit earned."""
        return float(self.margins[self.at]) if bought else 0.0

    def context(self, covariates: Floats) -> dict[str, float]:
        """Return what is known of a visit."""
        return {"one": 1.0, **{f"x{place}": float(value) for place, value in enumerate(covariates)}}


class RiverLinUcb(_Peer):
    """river's LinUCBDisjoint."""

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed)
        self._learner: Any = import_module("river.bandit").LinUCBDisjoint(alpha=_ALPHA, seed=seed)

    def price(self, covariates: Floats) -> int:
        """Return the price of the next visit."""
        self.at = self._learner.pull(list(range(_PRICES)), context=self.context(covariates))
        return int(self.prices[self.at])

    def learn(self, price: int, bought: bool, covariates: Floats) -> None:
        """Hear how a visit ended."""
        del price
        self._learner.update(self.at, self.context(covariates), self.reward(bought))


class MabWiserThompson(_Peer):
    """mabwiser's Thompson sampling: a chance drawn for each price, times its margin."""

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed)
        mab: Any = import_module("mabwiser.mab")
        self._learner: Any = mab.MAB(list(range(_PRICES)), mab.LearningPolicy.ThompsonSampling(), seed=seed)
        self._learner.fit(list(range(_PRICES)), [0] * _PRICES)

    def price(self, covariates: Floats) -> int:
        """Return the price of the next visit."""
        del covariates
        drawn = self._learner.predict_expectations()
        self.at = max(drawn, key=lambda arm: drawn[arm] * self.margins[arm])
        return int(self.prices[self.at])

    def learn(self, price: int, bought: bool, covariates: Floats) -> None:
        """Hear how a visit ended."""
        del price, covariates
        self._learner.partial_fit([self.at], [int(bought)])


class VowpalSquareCb(_Peer):
    """Vowpal Wabbit's SquareCB, with the price as a feature of the action."""

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed)
        arguments = f"--cb_explore_adf --squarecb -q SP --quiet --random_seed {seed}"
        self._learner: Any = import_module("vowpalwabbit").Workspace(arguments)
        self._draw: Final = np.random.default_rng(seed + 1_000_003)
        self._chances: list[float] = []

    def price(self, covariates: Floats) -> int:
        """Return the price of the next visit."""
        self._chances = self._learner.predict(self._example(covariates))
        self.at = int(self._draw.choice(_PRICES, p=np.array(self._chances) / sum(self._chances)))
        return int(self.prices[self.at])

    def learn(self, price: int, bought: bool, covariates: Floats) -> None:
        """Hear how a visit ended."""
        del price
        label = f"0:{-self.reward(bought)}:{self._chances[self.at]} "
        self._learner.learn(self._example(covariates, label))

    def _example(self, covariates: Floats, label: str = "") -> list[str]:
        seen = " ".join(f"x{place}:{value:.4f}" for place, value in enumerate(covariates))
        actions = [
            f"{label if place == self.at else ''}|P price:{price / self.prices[-1]:.4f} p{place}"
            for place, price in enumerate(self.prices)
        ]
        return [f"shared |S one {seen}", *actions]


AnyPeer = RiverLinUcb | MabWiserThompson | VowpalSquareCb

_PEERS: Final[dict[str, tuple[str, Callable[[World, int], AnyPeer]]]] = {
    "river LinUCB": ("river", RiverLinUcb),
    "mabwiser Thompson": ("mabwiser", MabWiserThompson),
    "VW squarecb": ("vowpalwabbit", VowpalSquareCb),
}


def installed() -> dict[str, tuple[str, Callable[[World, int], AnyPeer]]]:
    """Return the peers that are installed, by name, each with the version of its library."""
    found = {}
    for name, (library, make) in _PEERS.items():
        try:
            found[name] = f"{library}-{version(library)}", make
        except PackageNotFoundError:
            continue
    return found
