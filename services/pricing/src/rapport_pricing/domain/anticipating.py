"""What visits whose end is not known yet will tell, so that nothing is forgone to learn it a second time.

Whichever shape is true, it says how the visits under way will end, and so how the shapes will be weighed then. What
that leaves open is all that another visit can tell. Without this, a price is tried for as long as news of it takes.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from rapport_pricing.domain.demand import Counts, Floats, Posterior, Shapes

_ALIVE: Final = 1e-9


def left_open(
    shapes: Shapes, belief: Posterior, weights: Floats, earns: Floats, pending: Counts
) -> tuple[float, Floats]:
    """Return what will still be forgone, and how far shapes will still disagree, once pending visits have ended.

    By how much a shape that is not true will still be taken for it is the overlap of what the two bring about (the
    Bhattacharyya coefficient of normal distributions), each at the level that fits it best then: visits at one price
    alone tell nothing of how demand falls.

    Args:
        shapes: Curves that demand may have.
        belief: From what was heard.
        weights: Of the shapes.
        earns: What each price of the grid earns by each shape.
        pending: Visits of each cell whose end is not known.

    Returns:
        The contribution a visit that not knowing the shape will cost at the price that will seem best, and by cell the
        variance between shapes of the chance of a purchase.
    """
    alive = np.flatnonzero(weights > _ALIVE)
    weights = weights[alive] / weights[alive].sum()
    levels, variances = belief.levels[alive], belief.variances[alive]
    chances, earns = belief.chances(shapes)[alive], earns[alive]
    cells = np.flatnonzero(pending)
    odds = levels[:, None] + shapes.log_odds[np.ix_(alive, cells)]
    mean = weights @ chances[:, cells]
    precision = pending[cells] * mean * (1 - mean)
    sums, squares = odds @ precision, odds**2 @ precision
    apart = squares[:, None] + squares - 2 * (odds * precision) @ odds.T
    refitted = (sums[:, None] - sums) ** 2 / (precision.sum() + 1 / variances)
    heard = weights * np.exp(-np.maximum(apart - refitted, 0.0) / 8)  # one row for each shape that may be true
    heard /= heard.sum(axis=1, keepdims=True)
    chosen = np.argmax(heard @ earns, axis=1)
    forgone = weights @ (earns.max(axis=1) - earns[np.arange(len(alive)), chosen])
    variance: Floats = weights @ (heard @ chances**2 - (heard @ chances) ** 2)
    return float(forgone), np.maximum(variance, 0.0)
