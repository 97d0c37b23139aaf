"""The logistic member: columns made comparable, a weight for each, and what each adds to the log-odds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

_FARTHEST: Final = 6.0
_RARE: Final = 0.01
_FEWEST: Final = 20


@dataclass(frozen=True)
class Scale:
    """How columns become comparable: numbers by their logarithm, centred; what is missing and codes by 0 and 1.

    Attributes:
        numbers: Columns of numbers.
        means: Mean of each after the logarithm, where known.
        spreads: Its standard deviation.
        missing: Columns of numbers for which it matters that they are missing.
        coded: Column of each code that has an own place.
        codes: The code.
    """

    numbers: Places
    means: Floats
    spreads: Floats
    missing: Places
    coded: Places
    codes: Floats

    @property
    def sources(self) -> Places:
        """The column that each place comes from."""
        return np.concatenate([self.numbers, self.missing, self.coded])

    def __call__(self, rows: Floats) -> Floats:
        """Return comparable columns of one row or many."""
        numbers = rows[..., self.numbers]
        scaled = (np.copysign(np.log1p(np.abs(numbers)), numbers) - self.means) / self.spreads
        known = np.nan_to_num(np.clip(scaled, -_FARTHEST, _FARTHEST), copy=False)
        missing, coded = np.isnan(rows[..., self.missing]), rows[..., self.coded] == self.codes
        return np.concatenate([known, missing, coded], axis=-1)


def learn_scale(rows: Floats, categorical: Sequence[bool]) -> Scale:
    """Return the scale of the columns of a table; columns that say nothing get no place."""
    known = np.copysign(np.log1p(np.abs(rows)), rows)
    absent = np.isnan(rows)
    counts = np.maximum(len(rows) - absent.sum(axis=0), 1)
    filled = np.where(absent, 0.0, known)
    means = filled.sum(axis=0) / counts
    spreads = np.sqrt(np.where(absent, 0.0, (known - means) ** 2).sum(axis=0) / counts)
    kinds = np.array(categorical, dtype=np.bool_)
    numbers = np.flatnonzero(~kinds & (spreads > 1e-9))
    share = absent.mean(axis=0)
    missing = np.flatnonzero(~kinds & (share > _RARE) & (share < 1.0 - _RARE))
    coded, codes = [], []
    for column in np.flatnonzero(kinds):
        found, count = np.unique(rows[~absent[:, column], column], return_counts=True)
        for code in found[count >= _FEWEST]:
            coded.append(column)
            codes.append(code)
    return Scale(
        numbers, means[numbers], spreads[numbers], missing, np.array(coded, dtype=np.intp), np.array(codes, np.float64)
    )


@dataclass(frozen=True)
class Linear:
    """A logistic regression on comparable columns.

    Attributes:
        scale: How columns become comparable.
        intercept: Log-odds of an average row.
        weights: One for each place of the scale.
        centres: The average row.
    """

    scale: Scale
    intercept: float
    weights: Floats
    centres: Floats

    def log_odds(self, rows: Floats) -> Floats:
        """Return the log-odds of one row or many."""
        odds: Floats = (self.scale(rows) - self.centres) @ self.weights + self.intercept
        return odds

    def contributions(self, row: Floats) -> Floats:
        """Return what each place of the scale adds to the log-odds of an average row."""
        return (self.scale(row) - self.centres) * self.weights

    def as_json(self) -> dict[str, Any]:
        """Return what `of_json` reads."""
        scale = {name: getattr(self.scale, name).tolist() for name in Scale.__dataclass_fields__}
        own = {"weights": self.weights.tolist(), "centres": self.centres.tolist()}
        return {"scale": scale, "intercept": self.intercept, **own}

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Self:
        """Return the regression that was written."""
        places, floats = partial(np.array, dtype=np.intp), partial(np.array, dtype=np.float64)
        scale = told["scale"]
        read = Scale(
            numbers=places(scale["numbers"]),
            means=floats(scale["means"]),
            spreads=floats(scale["spreads"]),
            missing=places(scale["missing"]),
            coded=places(scale["coded"]),
            codes=floats(scale["codes"]),
        )
        return cls(read, float(told["intercept"]), floats(told["weights"]), floats(told["centres"]))
