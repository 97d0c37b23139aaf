"""All questions of a model's trees, answered for a row at once by one comparison of arrays.

A row is laid out so that every question, of numbers with any treatment of the missing and of codes alike, becomes
"is the value at this place not above that threshold": the numbers three times, with what is missing taken as zero, as
minus infinity and as it is (no comparison with it holds), then 0 or 1 for every question about codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.trees import Split

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

_TREATED: Final = np.array([[0.0], [-np.inf], [np.nan]])
_IN: Final = 0.0
_OUT: Final = 1.0
_HALF: Final = 0.5


class Layout:
    """How rows are laid out for the questions of one model.

    Args:
        features: Columns of a row.
        splits: Every question, each once.
    """

    def __init__(self, features: int, splits: Sequence[Split]) -> None:
        about_codes = [split for split in splits if split.codes is not None]
        self._features = features
        self._numbers = 3 * features
        self.width = self._numbers + len(about_codes)
        self._places = {split: self._numbers + at for at, split in enumerate(about_codes)}
        self._columns: Places = np.array([split.feature for split in about_codes], dtype=np.intp)
        sizes = [max(split.codes or (0,)) + 1 for split in about_codes]
        # The entry before a question's first code and the one after its last stand for every other code.
        self._sizes = np.array(sizes, dtype=np.float64)
        self._starts: Places = np.concatenate([[1], 1 + np.cumsum(np.array(sizes) + 2)]).astype(np.intp)[: len(sizes)]
        self._answers = np.full(sum(sizes) + 2 * len(sizes), _OUT)
        for start, split in zip(self._starts, about_codes, strict=True):
            self._answers[start + np.array(split.codes, dtype=np.intp)] = _IN

    def place(self, split: Split) -> tuple[int, float]:
        """Return the place of a laid-out row that a question looks at, and the threshold there."""
        if split.codes is not None:
            return self._places[split], _HALF
        return split.missing * self._features + split.feature, split.threshold

    def lay_out(self, row: Floats, laid: Floats) -> None:
        """Lay out one row.

        Args:
            row: The columns; finite, or NaN for missing.
            laid: Receives the laid-out row.
        """
        numbers = laid[: self._numbers].reshape(3, self._features)
        numbers[:] = row
        if np.isnan(row.sum()):
            np.copyto(numbers, _TREATED, where=np.isnan(row))
        if len(self._columns):
            codes = row.take(self._columns)
            laid[self._numbers :] = self._answers.take(self._starts + self._within(codes))

    def _within(self, codes: Floats) -> Places:
        # A code is cut to a whole number towards zero, as LightGBM does: -0.5 is the code 0.
        whole = np.where(codes > -1.0, np.minimum(np.trunc(codes), self._sizes), -1.0)
        return whole.astype(np.intp)
