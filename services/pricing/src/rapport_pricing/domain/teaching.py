"""What a belief teaches: products that are new in a market, and the same product once its demand has shifted.

Two things carry over where prices do not. Who would take a product for nothing depends on no price, and how steeply
demand falls is alike when it is told by the cost: a product that costs twice as much has prices twice as far apart. So
lessons are told in these, whatever price each product began at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from rapport_pricing.domain.demand import Floats, Level, Posterior, Shapes

_OWN: Final = 0.2
_SCALE_SPREAD: Final = 0.6
_SCALED: Final = 0.5
_WIDEST: Final = 2.0
_NARROWEST: Final = 0.3


class Lesson(NamedTuple):
    """What a product was found to be like.

    Attributes:
        weights: Of the shapes, on the grid around its own anchor.
        free: Log-odds of a purchase at no price.
        cost_share: Its cost over its anchor; 0 if it costs nothing.
    """

    weights: Floats
    free: float
    cost_share: float


def lesson(shapes: Shapes, belief: Posterior, cost_share: float) -> Lesson:
    """Return what is to be learned from a belief."""
    return Lesson(belief.weights, _free(shapes, belief), cost_share)


def pooled_prior(shapes: Shapes, lessons: Sequence[Lesson], cost_share: float, *, own: float = _OWN) -> Floats:
    """Return a prior for a new product.

    Args:
        shapes: The curves that all of them were weighed on.
        lessons: Of other products.
        cost_share: Cost of the new one over its anchor; 0 if it costs nothing.
        own: Share of the shipped prior that stays, so that no shape is ever ruled out.
    """
    if not lessons:
        return shapes.prior
    mean: Floats = np.sum([_seen_from(shapes, each, cost_share) for each in lessons], axis=0) / len(lessons)
    return own * shapes.prior + (1 - own) * mean


def pooled_level(lessons: Sequence[Lesson]) -> Level:
    """Return what to expect of the level of a new product; two others at least tell how much products differ."""
    if len(lessons) < 2:
        return Level()
    mean = math.fsum(each.free for each in lessons) / len(lessons)
    spread = math.fsum((each.free - mean) ** 2 for each in lessons) / (len(lessons) - 1)
    deviation = math.sqrt(spread * (1 + 1 / len(lessons)))
    return Level(mean, min(_WIDEST, max(_NARROWEST, deviation)), free=True)


def after_shift(shapes: Shapes, belief: Posterior) -> tuple[Floats, Level]:
    """Return what is expected of a product whose demand has shifted: that everybody values it at another scale.

    Then as many as before would take it for nothing, and demand falls more steeply or less. Half of the weight stays
    with what is expected of a product that nobody knows.

    Args:
        shapes: The curves that demand may have.
        belief: As it was when the shift was noticed.
    """
    slopes = len(shapes.slopes)
    steep = np.log(shapes.slopes)
    middle = _among_logits(shapes, belief) @ steep
    scaled = np.exp(-0.5 * ((steep - middle) / _SCALE_SPREAD) ** 2)
    prior = shapes.prior.copy()
    prior[:slopes] = (1 - _SCALED) * prior[:slopes] + _SCALED * prior[:slopes].sum() * scaled / scaled.sum()
    return prior, Level(_free(shapes, belief), 1.0, free=True)


def _free(shapes: Shapes, belief: Posterior) -> float:
    return float(_among_logits(shapes, belief) @ belief.levels[: len(shapes.slopes)])


def _among_logits(shapes: Shapes, belief: Posterior) -> Floats:
    weights = belief.weights[: len(shapes.slopes)] + 1e-12
    normal: Floats = weights / weights.sum()
    return normal


def _seen_from(shapes: Shapes, taught: Lesson, cost_share: float) -> Floats:
    """Return weights on the grid of a product with another share of cost: slopes move along theirs."""
    if not taught.cost_share or not cost_share:
        return taught.weights
    count = len(shapes.slopes)
    apart = math.log(shapes.slopes[1] / shapes.slopes[0])
    places = np.arange(count) + math.log(taught.cost_share / cost_share) / apart
    below = np.floor(places).astype(np.int64)
    upper = places - below
    weights = taught.weights.copy()
    weights[:count] = 0
    np.add.at(weights, np.clip(below, 0, count - 1), taught.weights[:count] * (1 - upper))
    np.add.at(weights, np.clip(below + 1, 0, count - 1), taught.weights[:count] * upper)
    return weights
