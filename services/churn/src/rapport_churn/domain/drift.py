"""Whether what customers look like now is what the model was trained on; said only when chance does not explain it.

A fixed threshold on the population stability index cries wolf on small windows and sleeps on large ones. Here every
bound comes from the distribution of the statistic where nothing has changed, for these sizes, and is corrected for the
number of features: of all looks at a stable stream at most a share `alarms` raises any feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt
from statistics import NormalDist
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ALARMS: Final = 0.01
_BINS: Final = 10
_KNOTS: Final = 200
_ROWS_PER_BIN: Final = 20
_FEWEST: Final = 100


class Drift(NamedTuple):
    """What a look found of one feature.

    Attributes:
        feature: Its name.
        psi: Population stability index over bins of the reference.
        psi_bound: What it must exceed.
        distance: Kolmogorov-Smirnov distance of the known values.
        distance_bound: What it must exceed.
        drifted: Whether either does.
    """

    feature: str
    psi: float
    psi_bound: float
    distance: float
    distance_bound: float
    drifted: bool


@dataclass(frozen=True)
class Distribution:
    """What is kept of one feature: no row of anybody.

    Attributes:
        name: The feature.
        rows: Rows it was taken from.
        missing: Share that is unknown.
        knots: Values in ascending order, each once.
        below: Share of the known values that are not above each knot.
        under: Share of the known values that are below each knot.
    """

    name: str
    rows: int
    missing: float
    knots: tuple[float, ...]
    below: tuple[float, ...]
    under: tuple[float, ...]

    @classmethod
    def of(cls, name: str, values: Floats) -> Self:
        """Take the distribution of a feature."""
        known = np.sort(values[~np.isnan(values)])
        missing = 1.0 - len(known) / max(len(values), 1)
        if not len(known):
            return cls(name, len(values), missing, (), (), ())
        at = np.linspace(0, len(known) - 1, _KNOTS).round().astype(np.intp)
        knots = np.unique(known[at])
        below = np.searchsorted(known, knots, side="right") / len(known)
        under = np.searchsorted(known, knots, side="left") / len(known)
        return cls(name, len(values), missing, tuple(knots.tolist()), tuple(below.tolist()), tuple(under.tolist()))

    def as_json(self) -> dict[str, Any]:
        """Return the fields, for `Distribution(**...)`; lists where there are tuples."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def look(reference: Sequence[Distribution], window: Floats, *, alarms: float = ALARMS) -> list[Drift]:
    """Compare a window with the reference, feature by feature.

    Args:
        reference: The features, in the order of the columns.
        window: Rows of now; NaN is unknown.
        alarms: Share of looks at a stable stream that may raise any feature.
    """
    if len(window) < _FEWEST or not reference:
        return []
    # Two tests of each feature share what may go wrong.
    share = alarms / (2.0 * len(reference))
    return [_compare(each, window[:, at], share) for at, each in enumerate(reference)]


def _compare(reference: Distribution, values: Floats, share: float) -> Drift:
    known = np.sort(values[~np.isnan(values)])
    index, bound = _psi(reference, values, known, share)
    distance, distance_bound = _distance(reference, known, share)
    return Drift(
        reference.name, index, bound, distance, distance_bound, bool(index > bound or distance > distance_bound)
    )


def _psi(reference: Distribution, values: Floats, known: Floats, share: float) -> tuple[float, float]:
    rows = min(len(values), reference.rows)
    wanted = _cuts(reference, max(2, min(_BINS, rows // _ROWS_PER_BIN)))
    knots = np.array([reference.knots[at] for at in wanted])
    before = np.diff([0.0, *(reference.below[at] for at in wanted), 1.0]) * (1.0 - reference.missing)
    counts = np.diff([0, *np.searchsorted(known, knots, side="right"), len(known)])
    expected = np.array([*before, reference.missing])
    seen = np.array([*counts, len(values) - len(known)], dtype=np.float64)
    kept = (expected * rows >= 1.0) | (seen > 0)
    bins = int(kept.sum())
    if bins < 2:
        return 0.0, 0.0
    old = (expected[kept] * reference.rows + 0.5) / (reference.rows + 0.5 * bins)
    new = (seen[kept] + 0.5) / (len(values) + 0.5 * bins)
    index = float(np.sum((new - old) * np.log(new / old)))
    return index, (1.0 / len(values) + 1.0 / reference.rows) * chi_square_above(bins - 1, share)


def _cuts(reference: Distribution, bins: int) -> list[int]:
    """Return the knots between bins of about equal share; a value that many have is a bin of its own."""
    cuts: list[int] = []
    for wanted in range(1, bins):
        at = int(np.searchsorted(reference.below, wanted / bins))
        if at < len(reference.knots) - 1 and (not cuts or at > cuts[-1]):
            cuts.append(at)
    return cuts


def _distance(reference: Distribution, known: Floats, share: float) -> tuple[float, float]:
    before = reference.rows * (1.0 - reference.missing)
    if not len(known) or before < 1.0:
        return 0.0, 1.0
    knots = np.array(reference.knots)
    below = np.searchsorted(known, knots, side="right") / len(known) - np.array(reference.below)
    under = np.searchsorted(known, knots, side="left") / len(known) - np.array(reference.under)
    distance = float(max(np.max(np.abs(below)), np.max(np.abs(under))))
    # Massart's bound, for two samples by their harmonic size.
    return distance, sqrt(log(2.0 / share) / 2.0 * (1.0 / len(known) + 1.0 / before))


def chi_square_above(freedom: int, share: float) -> float:
    """Return what a chi-square variable exceeds with a chance, by Wilson and Hilferty's cube."""
    part = 2.0 / (9.0 * freedom)
    return freedom * max(0.0, 1.0 - part + NormalDist().inv_cdf(1.0 - share) * sqrt(part)) ** 3
