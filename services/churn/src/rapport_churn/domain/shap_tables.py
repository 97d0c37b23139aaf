"""Exact reasons by looking them up: TreeSHAP for every outcome of a few splits, computed beforehand.

The Shapley values of a tree depend on a row only through which way each split goes, and they are sums over leaves. So
the leaves of all trees are put into cells of at most eight questions, and a table holds the values for each of the 256
outcomes, already summed over the leaves of the cell and over the columns of a reason. A row then costs one comparison
of arrays and one look-up a cell: about what a prediction costs, where walking the trees costs twenty times as much.

The value of a set of columns is that of path-dependent TreeSHAP (Lundberg and others, 2018), as LightGBM computes it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import factorial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.questions import Layout, Places
from rapport_churn.domain.trees import Forest, NotTabulableError, Split, Tree

Floats = NDArray[np.float64]

BITS: Final = 8
"""Questions of a cell: their answers are packed into one byte."""

MOST_BYTES: Final = 256 << 20
"""Larger tables would cost more in memory than they save."""

_LOOK_BACK: Final = 64


@dataclass(frozen=True, slots=True)
class _Path:
    """What leads to a leaf: for every column on the way, the answers needed and the share of rows that give them."""

    value: float
    needed: tuple[tuple[int, tuple[tuple[Split, bool], ...]], ...]
    shares: tuple[float, ...]


@dataclass(slots=True)
class _Cell:
    splits: dict[Split, int] = field(default_factory=dict)
    paths: list[_Path] = field(default_factory=list)

    def put(self, splits: set[Split], paths: Sequence[_Path]) -> None:
        for split in sorted(splits - self.splits.keys(), key=repr):
            self.splits[split] = len(self.splits)
        self.paths.extend(paths)


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
        cells = _cells(forest)
        rows = sum(1 << len(cell.splits) for cell in cells)
        if 8 * rows * self.groups > MOST_BYTES:
            raise NotTabulableError(f"the tables would have {rows} rows")
        self._layout = Layout(forest.features, sorted({split for cell in cells for split in cell.splits}, key=repr))
        places = np.zeros((len(cells), BITS), dtype=np.intp)
        thresholds = np.full((len(cells), BITS), np.nan)  # a spare place of a cell answers no, whatever the row
        starts, at = np.zeros(len(cells), dtype=np.intp), 0
        self._table = np.zeros((rows, self.groups))
        shapley = _shapley_of(path for cell in cells for path in cell.paths)
        for number, cell in enumerate(cells):
            for bit, split in enumerate(cell.splits):
                places[number, bit], thresholds[number, bit] = self._layout.place(split)
            starts[number] = at
            _fill(self._table[at : at + (1 << len(cell.splits))], cell, groups, shapley)
            at += 1 << len(cell.splits)
        self._places: Places = places.ravel()
        self._thresholds = thresholds.ravel()
        self._starts: Places = starts
        self._laid = np.zeros(self._layout.width)
        self._looked = np.zeros(len(self._places))
        self._answers = np.zeros(len(self._places), dtype=np.bool_)
        self._found = np.zeros((len(cells), self.groups))
        self._ones = np.ones(len(cells))

    @property
    def size_bytes(self) -> int:
        """Bytes of the tables."""
        return self._table.nbytes

    def contributions(self, row: Floats) -> Floats:
        """Return what each reason adds to the log-odds; the base and these sum to the model's log-odds.

        Args:
            row: The columns; finite, or NaN for missing.
        """
        self._layout.lay_out(row, self._laid)
        self._laid.take(self._places, out=self._looked, mode="clip")
        np.less_equal(self._looked, self._thresholds, out=self._answers)
        outcomes = np.packbits(self._answers, bitorder="little") + self._starts
        self._table.take(outcomes, axis=0, out=self._found, mode="clip")
        found: Floats = self._ones @ self._found
        return found


def _cells(forest: Forest) -> list[_Cell]:
    """Put the leaves of all trees into cells; trees that ask the same questions share one."""
    cells: list[_Cell] = []
    for tree in forest.trees:
        for splits, paths in _units(tree):
            near = [cell for cell in cells[-_LOOK_BACK:] if len(splits | cell.splits.keys()) <= BITS]
            cell = max(near, key=lambda each: len(splits & each.splits.keys()), default=None)
            if cell is None:
                cells.append(cell := _Cell())
            cell.put(splits, paths)
    return cells


def _units(tree: Tree) -> Iterator[tuple[set[Split], list[_Path]]]:
    """Yield the tree in as few parts as ask no more than `BITS` questions, each a subtree with what leads to it."""

    def part(node: int, above: list[tuple[int, bool]]) -> Iterator[tuple[set[Split], list[_Path]]]:
        leaves = list(_leaves(tree, node, above))
        splits = {tree.splits[at] for steps in leaves for at, _ in steps[1]}
        if len(splits) <= BITS:
            yield splits, [_path(tree, leaf, steps) for leaf, steps in leaves]
        elif node < 0:
            raise NotTabulableError(f"a path asks {len(splits)} questions")
        else:
            yield from part(tree.left[node], [*above, (node, True)])
            yield from part(tree.right[node], [*above, (node, False)])

    return part(0, []) if tree.splits else iter(())


def _leaves(tree: Tree, node: int, above: list[tuple[int, bool]]) -> Iterator[tuple[int, list[tuple[int, bool]]]]:
    if node < 0:
        yield node, above
        return
    yield from _leaves(tree, tree.left[node], [*above, (node, True)])
    yield from _leaves(tree, tree.right[node], [*above, (node, False)])


def _path(tree: Tree, leaf: int, steps: Sequence[tuple[int, bool]]) -> _Path:
    needed: defaultdict[int, list[tuple[Split, bool]]] = defaultdict(list)
    shares: defaultdict[int, float] = defaultdict(lambda: 1.0)
    for at, left in steps:
        split = tree.splits[at]
        needed[split.feature].append((split, left))
        shares[split.feature] *= tree.count(tree.left[at] if left else tree.right[at]) / tree.count(at)
    return _Path(
        tree.leaf_values[-1 - leaf],
        tuple((feature, tuple(answers)) for feature, answers in needed.items()),
        tuple(shares[feature] for feature in needed),
    )


def _shapley_of(paths: Iterator[_Path]) -> dict[int, Floats]:
    """Return for each path, by its identity, the Shapley values of its columns for every outcome of them."""
    by_length: defaultdict[int, list[_Path]] = defaultdict(list)
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


def _fill(table: Floats, cell: _Cell, groups: Sequence[int], shapley: dict[int, Floats]) -> None:
    """Write a cell's table: a row for each outcome of its questions."""
    outcomes = np.arange(len(table))
    answers = {split: (outcomes >> bit & 1).astype(np.bool_) for split, bit in cell.splits.items()}
    for path in cell.paths:
        met = np.zeros(len(table), dtype=np.intp)
        for at, (_, needed) in enumerate(path.needed):
            given = np.ones(len(table), dtype=np.bool_)
            for split, left in needed:
                given &= answers[split] if left else ~answers[split]
            met |= given.astype(np.intp) << at
        values = shapley[id(path)][met]
        for at, (feature, _) in enumerate(path.needed):
            table[:, groups[feature]] += values[:, at]
