"""Exact reasons by looking them up: TreeSHAP for every state of a few columns, computed beforehand.

The Shapley values of a tree depend on a row only through which way each split goes, and they are sums over leaves. So a
table holds them for every state of every cell (see `cells`), already summed over the leaves of the cell and over the
columns of a reason. A row costs one look-up a cell: less than a prediction, where walking the trees costs forty times
as much.

The value of a set of columns is that of path-dependent TreeSHAP (Lundberg and others, 2018), as LightGBM computes it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import factorial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.cells import Cell, Cells, Path
from rapport_churn.domain.trees import Forest, NotTabulableError

Floats = NDArray[np.float64]

STATES: Final = (4096, 1024, 256)
"""States of a cell at most. The more it may have, the fewer cells there are, and each costs a trip to main memory where
tables are large; but the larger tables are. The first is for models of many leaves alone."""

MANY_LEAVES: Final = 6000

MOST_BYTES: Final = 256 << 20
"""Larger tables would cost more in memory than they save."""


class ShapTables:
    """The tables of one model.

    Not for two threads at once: the arrays of a look-up are kept from call to call.

    Args:
        forest: The model.
        groups: For each column, the number of the reason it belongs to.
        count: How many reasons there are, if more than are named.

    Raises:
        NotTabulableError: The model is better explained by walking its trees.
    """

    def __init__(self, forest: Forest, groups: Sequence[int], count: int = 0) -> None:
        self.groups = max(count, max(groups) + 1)
        self.base = sum(tree.expected() for tree in forest.trees)
        self._cells = _cells(forest, 8 * self.groups)
        self._table = np.zeros((self._cells.states, self.groups))
        shapley = _shapley_of(path for cell in self._cells.cells for path in cell.paths)
        for start, cell in zip(self._cells.starts, self._cells.cells, strict=True):
            _fill(self._table[start : start + cell.states], cell, groups, shapley)
        self._found = np.zeros((len(self._cells.cells), self.groups))
        self._ones = np.ones(len(self._cells.cells))

    @property
    def size_bytes(self) -> int:
        """Bytes of the tables."""
        return self._table.nbytes

    def contributions(self, row: Floats) -> Floats:
        """Return what each reason adds to the log-odds; the base and these sum to the model's log-odds.

        Args:
            row: The columns; finite, or NaN for missing.
        """
        self._table.take(self._cells.of_row(row), axis=0, out=self._found, mode="clip")
        found: Floats = self._ones @ self._found
        return found


def _cells(forest: Forest, state_bytes: int) -> Cells:
    """Return the largest cells whose tables are not too large.

    Raises:
        NotTabulableError: There are none.
    """
    has_many = sum(len(tree.leaf_values) for tree in forest.trees) > MANY_LEAVES
    for most in STATES if has_many else STATES[1:]:
        cells = Cells(forest, most)
        if state_bytes * cells.states <= MOST_BYTES:
            return cells
    raise NotTabulableError("the tables would be too large")


def _fill(table: Floats, cell: Cell, groups: Sequence[int], shapley: dict[int, Floats]) -> None:
    """Write a cell's table: a row for each of its states."""
    states = table.reshape(*cell.sizes, -1)
    for path in cell.paths:
        outcomes = np.zeros((), dtype=np.intp)
        for at, met in enumerate(cell.met(path)):
            outcomes = outcomes | met.astype(np.intp) << at
        values = shapley[id(path)][outcomes]
        for at, feature in enumerate(path.needed):
            states[..., groups[feature]] += values[..., at]


def _shapley_of(paths: Iterable[Path]) -> dict[int, Floats]:
    """Return for each path, by its identity, the Shapley values of its columns for every outcome of them."""
    by_length: defaultdict[int, list[Path]] = defaultdict(list)
    for path in paths:
        by_length[len(path.shares)].append(path)
    found: dict[int, Floats] = {}
    for length, alike in by_length.items():
        shares = np.array([path.shares for path in alike])
        values = np.array([path.value for path in alike])
        for path, table in zip(alike, _shapley(shares, values, length), strict=True):
            found[id(path)] = table
    return found


def _shapley(shares: Floats, values: Floats, length: int) -> Floats:
    """Return Shapley values of leaves whose paths have as many columns: leaves, outcomes, columns.

    A leaf's value counts for a set of columns by the product of 0 or 1 for those in the set, as the row gives the
    needed answers, and of the share of training rows for the others. The sums over all sets of one size are the
    coefficients of a polynomial that is multiplied up column by column.
    """
    outcomes = (np.arange(1 << length)[:, None] >> np.arange(length) & 1).astype(np.float64)
    table = np.zeros((len(values), 1 << length, length))
    for own in range(length):
        sums: list[Floats] = [np.ones((len(values), 1 << length))]
        for other in range(length):
            if other != own:
                share, met = shares[:, other, None], outcomes[None, :, other]
                without, with_it = [each * share for each in sums], [each * met for each in sums]
                middle = [one + more for one, more in zip(without[1:], with_it[:-1], strict=True)]
                sums = [without[0], *middle, with_it[-1]]
        weighted = np.zeros_like(sums[0])
        for size, each in enumerate(sums):
            weighted += each * (factorial(size) * factorial(length - 1 - size) / factorial(length))
        table[:, :, own] = values[:, None] * (outcomes[None, :, own] - shares[:, own, None]) * weighted
    return table
