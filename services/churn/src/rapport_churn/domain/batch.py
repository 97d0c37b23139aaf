"""Log-odds of many rows without walking trees: what the leaves add is looked up, cell by cell (see `cells`)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.cells import BLOCK, Cell, Cells
from rapport_churn.domain.trees import Forest

Floats = NDArray[np.float64]

STATES: Final = 8192
"""States of a cell at most: a table of so many scores stays near the processor."""


class BatchTables:
    """The tables of one model, for many rows at a time.

    Args:
        forest: The model.

    Raises:
        NotTabulableError: A path asks too many questions; one of a small tree never does.
    """

    def __init__(self, forest: Forest) -> None:
        self._constant = sum(tree.leaf_values[0] for tree in forest.trees if not tree.splits)
        self._cells = Cells(forest, STATES)
        self._table = np.concatenate([np.zeros(0), *map(_table, self._cells.cells)])

    def log_odds_of(self, rows: Floats) -> Floats:
        """Return the log-odds of rows.

        Args:
            rows: The columns; finite, or NaN for missing.
        """
        found = np.full(len(rows), float(self._constant))
        scores = np.empty((BLOCK, len(self._cells.cells)))
        for start, places in self._cells.of_rows(rows):
            own = scores[: len(places)]
            self._table.take(places, out=own, mode="clip")
            found[start : start + len(places)] += own.sum(axis=1)
        return found


def _table(cell: Cell) -> Floats:
    """Return the score of each state of a cell."""
    table = np.zeros(cell.sizes)
    for path in cell.paths:
        met = np.ones((), dtype=np.bool_)
        for each in cell.met(path):
            met = met & each
        table += path.value * met
    return table.ravel()
