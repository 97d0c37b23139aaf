"""Log-odds of many rows without walking trees: each column is put into bins once, and the rest is looked up.

A tree's score depends on a row only through the bins its columns lie in, between the thresholds of the whole model. The
trees are put into cells, each of which tells apart a few thousand states of a few columns, and a table holds the summed
score of a cell for every state. A row's states in all cells are a sum over columns of one row of a table each: long
runs of simple operations, where walking jumps about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.trees import Forest, NotTabulableError, Split, Tree, goes_left

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
Answers = NDArray[np.bool_]

STATES: Final = 8192
"""States of a cell at most: a table of so many scores stays near the processor."""

BLOCK: Final = 512
_LOOK_BACK: Final = 48


class BatchTables:
    """The tables of one model, for many rows at a time.

    Args:
        forest: The model.

    Raises:
        NotTabulableError: A path asks too many questions; one of a small tree never does.
    """

    def __init__(self, forest: Forest) -> None:
        splits: defaultdict[int, set[Split]] = defaultdict(set)
        for tree in forest.trees:
            for split in tree.splits:
                splits[split.feature].add(split)
        self._columns = [_Column(feature, sorted(own, key=_order)) for feature, own in sorted(splits.items())]
        self._constant = sum(tree.leaf_values[0] for tree in forest.trees if not tree.splits)
        cells = _cells(forest)
        self._states = [np.zeros((column.bins, len(cells)), dtype=np.int16) for column in self._columns]
        self._starts = np.zeros(len(cells), dtype=np.intp)
        tables: list[Floats] = []
        start = 0
        for number, cell in enumerate(cells):
            tables.append(cell.table(self._columns, self._states, number))
            self._starts[number] = start
            start += len(tables[-1])
        self._table = np.concatenate(tables) if tables else np.zeros(0)

    def log_odds_of(self, rows: Floats) -> Floats:
        """Return the log-odds of rows.

        Args:
            rows: The columns; finite, or NaN for missing.
        """
        found = np.full(len(rows), float(self._constant))
        if not len(self._table):
            return found
        bins = [column.bins_of(rows[:, column.feature]) for column in self._columns]
        states = np.empty((min(BLOCK, len(rows)), len(self._starts)), dtype=np.int16)
        looked, places = np.empty_like(states), np.empty(states.shape, dtype=np.intp)
        scores = np.empty(states.shape)
        for start in range(0, len(rows), BLOCK):
            size = min(BLOCK, len(rows) - start)
            own, other = states[:size], looked[:size]
            own[:] = 0
            for table, column in zip(self._states, bins, strict=True):
                table.take(column[start : start + size], axis=0, out=other, mode="clip")
                own += other
            np.add(own, self._starts, out=places[:size])
            self._table.take(places[:size], out=scores[:size], mode="clip")
            found[start : start + size] += scores[:size].sum(axis=1)
        return found


class _Column:
    """One column, as far as the model asks about it: its bins, and what every split answers in each."""

    def __init__(self, feature: int, splits: Sequence[Split]) -> None:
        self.feature = feature
        self._coded = any(split.codes is not None for split in splits)
        if self._coded:
            self._cuts = np.zeros(0)
            self._codes = max(max(split.codes or (0,)) for split in splits) + 1
            told = [*map(float, range(self._codes)), -1.0]
        else:
            self._cuts = np.unique([split.threshold for split in splits])
            told = [*self._cuts.tolist(), np.inf, np.nan]
        self.bins = len(told)
        self.answers = {split: np.array([goes_left(split, value) for value in told]) for split in splits}

    def bins_of(self, values: Floats) -> Places:
        """Return the bin of each value."""
        if self._coded:
            # A code is cut to a whole number towards zero, as LightGBM does: -0.5 is the code 0.
            known = (values > -1.0) & (values < self._codes)
            return np.where(known, np.trunc(np.where(known, values, 0.0)), self._codes).astype(np.intp)
        found = np.searchsorted(self._cuts, values)
        found[np.isnan(values)] = self.bins - 1
        return found


_Steps = Sequence[tuple[Split, bool]]


@dataclass(slots=True)
class _Cell:
    """Leaves that are told apart by the same questions, by column."""

    splits: dict[int, set[Split]] = field(default_factory=lambda: defaultdict(set))
    leaves: list[tuple[float, _Steps]] = field(default_factory=list)
    states: int = 1

    def size_with(self, splits: Mapping[int, set[Split]]) -> int:
        """Return how many states there may be if these questions are put, too."""
        size = self.states
        for feature, own in splits.items():
            held = self.splits.get(feature)
            size = size // _states_of(held) * _states_of(held | own) if held else size * _states_of(own)
        return size

    def shared(self, splits: Mapping[int, set[Split]]) -> int:
        """Return how many of these questions are put already."""
        return sum(len(self.splits[feature] & own) for feature, own in splits.items() if feature in self.splits)

    def put(self, splits: Mapping[int, set[Split]], leaves: Sequence[tuple[float, _Steps]]) -> None:
        """Take leaves in, with the questions that lead to them."""
        self.states = self.size_with(splits)
        for feature, own in splits.items():
            self.splits[feature] |= own
        self.leaves.extend(leaves)

    def table(self, columns: Sequence[_Column], states: Sequence[NDArray[np.int16]], number: int) -> Floats:
        """Return the score of each state; and write, for each column and bin, what it adds to the state's number."""
        answers: dict[Split, Answers] = {}
        sizes: list[int] = []
        axes: dict[int, int] = {}
        stride = 1
        for at, column in enumerate(columns):
            if own := sorted(self.splits.get(column.feature, ()), key=_order):
                told, alike = np.unique([column.answers[split] for split in own], axis=1, return_inverse=True)
                states[at][:, number] = alike.ravel() * stride
                answers |= dict(zip(own, told, strict=True))
                axes[column.feature] = len(sizes)
                sizes.append(told.shape[1])
                stride *= told.shape[1]
        table = np.zeros(sizes, order="F")
        for value, steps in self.leaves:
            met = [np.ones(size, dtype=np.bool_) for size in sizes]
            for split, left in steps:
                met[axes[split.feature]] &= answers[split] if left else ~answers[split]
            table[np.ix_(*met)] += value
        return table.ravel(order="F")


def _order(split: Split) -> tuple[float, int, tuple[int, ...]]:
    return split.threshold, split.missing, split.codes or ()


def _states(asked: Iterable[set[Split]]) -> int:
    """Return how many states there are at most, by the questions about each column."""
    return prod(map(_states_of, asked))


def _states_of(splits: set[Split]) -> int:
    codes = [split.codes for split in splits if split.codes is not None]
    if codes:
        return len(codes) + 1 if all(len(each) == 1 for each in codes) else 1 << len(codes)
    # Thresholds part the numbers; what is missing is a state of its own if it goes now left, now right.
    return len(splits) + 1 + (len({split.missing for split in splits}) > 1)


def _cells(forest: Forest) -> list[_Cell]:
    """Put the leaves of all trees into cells; trees that ask about the same columns share one."""
    cells: list[_Cell] = []
    for tree in forest.trees:
        for splits, leaves in _parts(tree):
            near = [(cell, size) for cell in cells[-_LOOK_BACK:] if (size := cell.size_with(splits)) <= STATES]
            cell = max(near, key=lambda each: each[0].shared(splits) / each[1], default=(None, 0))[0]
            if cell is None:
                cells.append(cell := _Cell())
            cell.put(splits, leaves)
    return cells


def _parts(tree: Tree) -> Iterator[tuple[Mapping[int, set[Split]], list[tuple[float, _Steps]]]]:
    """Yield the tree in as few parts as have few enough states, each a subtree with what leads to it."""

    def leaves(node: int, above: _Steps) -> Iterator[tuple[float, _Steps]]:
        if node < 0:
            yield tree.leaf_values[-1 - node], above
            return
        yield from leaves(tree.left[node], [*above, (tree.splits[node], True)])
        yield from leaves(tree.right[node], [*above, (tree.splits[node], False)])

    def part(node: int, above: _Steps) -> Iterator[tuple[Mapping[int, set[Split]], list[tuple[float, _Steps]]]]:
        own = list(leaves(node, above))
        splits: defaultdict[int, set[Split]] = defaultdict(set)
        for split in {split for _, steps in own for split, _ in steps}:
            splits[split.feature].add(split)
        if _states(splits.values()) <= STATES:
            yield splits, own
        elif node < 0:
            raise NotTabulableError(f"a path asks about {len(splits)} columns")
        else:
            yield from part(tree.left[node], [*above, (tree.splits[node], True)])
            yield from part(tree.right[node], [*above, (tree.splits[node], False)])

    return part(0, []) if tree.splits else iter(())
