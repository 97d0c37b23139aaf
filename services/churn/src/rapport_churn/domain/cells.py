"""The leaves of all trees of a model, put into cells that each tell apart a few states of a few columns.

What a tree says of a row depends only on the bins its columns lie in, between the thresholds of the whole model. A cell
asks all that leads to some leaves, and numbers what may be answered; so whatever is a sum over leaves is looked up: a
table holds it for every state of every cell. A row's states in all cells are a sum over columns of one row of a table
each: long runs of simple operations, where walking jumps about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.trees import Forest, NotTabulableError, Split, Tree, goes_left

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
Answers = NDArray[np.bool_]

BLOCK: Final = 512
"""Rows whose states are looked up together."""

_LOOK_BACK: Final = 48


class Path(NamedTuple):
    """What leads to a leaf.

    Attributes:
        value: What the leaf adds.
        needed: For every column on the way, the answers that lead on.
        shares: For each of these columns, the share of training rows that give them.
    """

    value: float
    needed: Mapping[int, Sequence[tuple[Split, bool]]]
    shares: tuple[float, ...]


class Column:
    """One column, as far as a model asks about it: its bins, and what every split answers in each.

    Attributes:
        feature: Its number.
        cuts: Where a bin ends: what is not above the first cut lies in the first bin. The last is infinity; what is
            missing lies beyond.
        answers: For every split, whether the values of each bin go left.
    """

    def __init__(self, feature: int, splits: Iterable[Split]) -> None:
        self.feature = feature
        splits = list(splits)
        codes = [code for split in splits for code in split.codes or ()]
        if any(split.codes is not None for split in splits):
            # A code is cut to a whole number towards zero, as LightGBM does: -0.5 is the code 0.
            told = np.arange(-1.0, max(codes, default=0) + 2.0)
            self.cuts = np.array([-1.0, *np.nextafter(told[2:], -np.inf), np.inf])
        else:
            told = self.cuts = np.unique([*(split.threshold for split in splits), np.inf])
        values = [*told.tolist(), np.nan]
        self.answers = {split: np.array([goes_left(split, value) for value in values]) for split in splits}


@dataclass(slots=True)
class Cell:
    """Leaves that are told apart by the same questions, by column.

    Attributes:
        splits: The questions about each column.
        paths: What leads to the leaves.
        states: How many states there may be.
        sizes: What there is to tell apart of each column, once it is numbered; states are numbered as an array of these
            sizes.
        axes: Which of the sizes is a column's.
        answers: What each split answers to what is told apart of its column.
    """

    splits: dict[int, set[Split]] = field(default_factory=lambda: defaultdict(set))
    paths: list[Path] = field(default_factory=list)
    states: int = 1
    sizes: tuple[int, ...] = ()
    axes: dict[int, int] = field(default_factory=dict)
    answers: dict[Split, Answers] = field(default_factory=dict)

    def size_with(self, splits: Mapping[int, set[Split]]) -> int:
        """Return how many states there may be if these questions are put, too."""
        size = self.states
        for feature, own in splits.items():
            held = self.splits.get(feature)
            if held is None:
                size *= _states_of(own)
            elif not own <= held:
                size = size // _states_of(held) * _states_of(held | own)
        return size

    def shared(self, splits: Mapping[int, set[Split]]) -> int:
        """Return how many of these questions are put already."""
        return sum(len(self.splits[feature] & own) for feature, own in splits.items() if feature in self.splits)

    def put(self, splits: Mapping[int, set[Split]], paths: Iterable[Path]) -> None:
        """Take leaves in, with the questions that lead to them."""
        self.states = self.size_with(splits)
        for feature, own in splits.items():
            self.splits[feature] |= own
        self.paths.extend(paths)

    def number(self, columns: Mapping[int, Column]) -> Iterator[tuple[int, Places]]:
        """Number the states; yield, for each column, what its bins add to the number of a state."""
        kinds: dict[int, Places] = {}
        for feature, asked in sorted(self.splits.items()):
            own = list(asked)
            told, alike = np.unique([columns[feature].answers[split] for split in own], axis=1, return_inverse=True)
            self.answers |= dict(zip(own, told, strict=True))
            self.axes[feature] = len(self.sizes)
            self.sizes = (*self.sizes, told.shape[1])
            kinds[feature] = alike.ravel()
        self.states = prod(self.sizes)
        for feature, axis in self.axes.items():
            yield feature, kinds[feature] * prod(self.sizes[axis + 1 :])

    def met(self, path: Path) -> Iterator[Answers]:
        """Yield, for each column of a path, whether it gives the answers needed; in the shape of the states."""
        for feature, needed in path.needed.items():
            axis = self.axes[feature]
            met = np.ones(self.sizes[axis], dtype=np.bool_)
            for split, left in needed:
                met &= self.answers[split] if left else ~self.answers[split]
            yield met.reshape([-1 if at == axis else 1 for at in range(len(self.sizes))])


class Cells:
    """The cells of a model, and in which states rows are.

    Not for two threads at once: the arrays of a single row are kept from call to call.

    Args:
        forest: The model.
        most: States of a cell at most, at most 32767.

    Attributes:
        cells: The cells; a table of all states has the states of one after those of the other.
        states: How many states there are in all.

    Raises:
        NotTabulableError: A path has more states; one of few questions never does.
    """

    def __init__(self, forest: Forest, most: int) -> None:
        splits: defaultdict[int, set[Split]] = defaultdict(set)
        for tree in forest.trees:
            for split in tree.splits:
                splits[split.feature].add(split)
        columns = {feature: Column(feature, own) for feature, own in sorted(splits.items())}
        self.cells = _cells(forest, most)
        self._features: Places = np.array(list(columns), dtype=np.intp)
        self._cuts = [column.cuts for column in columns.values()]
        bins = [len(cuts) + 1 for cuts in self._cuts]
        parts = [np.zeros((count, len(self.cells)), dtype=np.int16) for count in bins]
        place = dict(zip(columns, parts, strict=True))
        for number, cell in enumerate(self.cells):
            for feature, added in cell.number(columns):
                place[feature][:, number] = added
        ends = np.cumsum([cell.states for cell in self.cells], dtype=np.intp)
        self.states = int(ends[-1]) if len(ends) else 0
        self.starts: Places = np.concatenate([[0], ends])[: len(self.cells)].astype(np.intp)
        self._added = np.concatenate(parts) if parts else np.zeros((0, 0), dtype=np.int16)
        self._firsts: Places = np.cumsum([0, *bins], dtype=np.intp)[:-1]
        # For one row all cuts are looked at together.
        self._counts = np.array([len(cuts) for cuts in self._cuts], dtype=np.intp)
        self._every_cut = np.concatenate([*self._cuts, []])
        self._begins: Places = np.cumsum([0, *self._counts], dtype=np.intp)[:-1]
        self._reached = np.zeros(len(self._every_cut), dtype=np.bool_)
        self._lasts = self._firsts + self._counts
        self._looked = np.zeros((len(self._cuts), len(self.cells)), dtype=np.int16)
        self._own = np.zeros(len(self.cells), dtype=np.int16)

    def of_row(self, row: Floats) -> Places:
        """Return the place of one row's state in each cell.

        Args:
            row: The columns; finite, or NaN for missing.
        """
        np.less_equal(row.take(self._features).repeat(self._counts), self._every_cut, out=self._reached)
        bins = self._lasts - np.add.reduceat(self._reached, self._begins, dtype=np.intp)
        self._added.take(bins, axis=0, out=self._looked, mode="clip")
        np.add.reduce(self._looked, axis=0, dtype=np.int16, out=self._own)
        places: Places = self.starts + self._own
        return places

    def of_rows(self, rows: Floats) -> Iterator[tuple[int, Places]]:
        """Yield the number of a row, and the places of its states and of those of the rows that follow."""
        bins = [
            np.searchsorted(cuts, rows[:, feature]) + first
            for cuts, feature, first in zip(self._cuts, self._features, self._firsts, strict=True)
        ]
        states = np.empty((min(BLOCK, len(rows)), len(self.cells)), dtype=np.int16)
        looked, places = np.empty_like(states), np.empty(states.shape, dtype=np.intp)
        for start in range(0, len(rows), BLOCK):
            size = min(BLOCK, len(rows) - start)
            own, other = states[:size], looked[:size]
            own[:] = 0
            for each in bins:
                self._added.take(each[start : start + size], axis=0, out=other, mode="clip")
                own += other
            yield start, np.add(own, self.starts, out=places[:size])


def _states(asked: Iterable[set[Split]]) -> int:
    """Return how many states there are at most, by the questions about each column."""
    return prod(map(_states_of, asked))


def _states_of(splits: set[Split]) -> int:
    codes = [split.codes for split in splits if split.codes is not None]
    if codes:
        return len(codes) + 1 if all(len(each) == 1 for each in codes) else 1 << len(codes)
    # Thresholds part the numbers; what is missing is a state of its own if it goes now left, now right.
    return len(splits) + 1 + (len({split.missing for split in splits}) > 1)


def _cells(forest: Forest, most: int) -> list[Cell]:
    """Put the leaves of all trees into cells; trees that ask about the same columns share one."""
    cells: list[Cell] = []
    for tree in forest.trees:
        for splits, paths in _parts(tree, most):
            near = [(cell, size) for cell in cells[-_LOOK_BACK:] if (size := cell.size_with(splits)) <= most]
            cell = max(near, key=lambda each: each[0].shared(splits) / each[1], default=(None, 0))[0]
            if cell is None:
                cells.append(cell := Cell())
            cell.put(splits, paths)
    return cells


def _parts(tree: Tree, most: int) -> Iterator[tuple[Mapping[int, set[Split]], list[Path]]]:
    """Yield the tree in as few parts as have few enough states, each a subtree with what leads to it."""

    def part(node: int, above: list[tuple[int, bool]]) -> Iterator[tuple[Mapping[int, set[Split]], list[Path]]]:
        leaves = list(_leaves(tree, node, above))
        splits: defaultdict[int, set[Split]] = defaultdict(set)
        for split in {tree.splits[at] for _, steps in leaves for at, _ in steps}:
            splits[split.feature].add(split)
        if _states(splits.values()) <= most:
            yield splits, [_path(tree, leaf, steps) for leaf, steps in leaves]
        elif node < 0:
            raise NotTabulableError(f"a path asks about {len(splits)} columns")
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


def _path(tree: Tree, leaf: int, steps: Sequence[tuple[int, bool]]) -> Path:
    needed: defaultdict[int, list[tuple[Split, bool]]] = defaultdict(list)
    shares: defaultdict[int, float] = defaultdict(lambda: 1.0)
    for at, left in steps:
        split = tree.splits[at]
        needed[split.feature].append((split, left))
        shares[split.feature] *= tree.count(tree.left[at] if left else tree.right[at]) / tree.count(at)
    return Path(tree.leaf_values[-1 - leaf], needed, tuple(shares[feature] for feature in needed))
