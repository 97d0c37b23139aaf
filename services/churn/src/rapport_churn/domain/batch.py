"""Log-odds of many rows without walking trees: questions answered column by column, then looked up.

A tree's score depends on the answers to its few questions. Trees that share questions are put into cells of at most
twelve, and a table holds the summed score of a cell for every outcome. For a block of rows each distinct question is
one comparison of a column, and each cell one look-up: long runs of simple operations, where walking jumps about.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.questions import Layout
from rapport_churn.domain.trees import Forest, Split, Tree

Floats = NDArray[np.float64]

BITS: Final = 12
"""Questions of a cell: a table of 4,096 scores stays near the processor."""

BLOCK: Final = 4096
_LOOK_BACK: Final = 200


class BatchTables:
    """The tables of one model, for many rows at a time.

    Args:
        forest: The model.

    Raises:
        ValueError: A path asks more than twelve questions; one of a small tree never does.
    """

    def __init__(self, forest: Forest) -> None:
        splits = sorted({split for tree in forest.trees for split in tree.splits}, key=repr)
        layout = Layout(forest.features, splits)
        self._layout = layout
        places: dict[int, list[tuple[float, int]]] = {}
        for number, split in enumerate(splits):
            place, threshold = layout.place(split)
            places.setdefault(place, []).append((threshold, number))
        self._questions = len(splits)
        self._places = sorted(places.items())
        numbers = {split: number for number, split in enumerate(splits)}
        self._constant = sum(tree.leaf_values[0] for tree in forest.trees if not tree.splits)
        self._cells = [_table(cell, numbers) for cell in _cells(forest)]

    def log_odds_of(self, rows: Floats) -> Floats:
        """Return the log-odds of rows.

        Args:
            rows: The columns; finite, or NaN for missing.
        """
        found = np.empty(len(rows))
        answers = np.empty((self._questions, min(BLOCK, len(rows))), dtype=np.bool_)
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            found[start : start + BLOCK] = self._score(block, answers[:, : len(block)])
        return found

    def _score(self, block: Floats, answers: NDArray[np.bool_]) -> Floats:
        for place, questions in self._places:
            column = np.ascontiguousarray(self._layout.column(block, place))
            for threshold, number in questions:
                np.less_equal(column, threshold, out=answers[number])
        total = np.full(len(block), float(self._constant))
        bits = answers.view(np.uint8)
        shifted, packed = np.empty(len(block), np.uint8), np.empty((2, len(block)), np.uint8)
        outcomes = np.empty(len(block), np.intp)
        for numbers, table in self._cells:
            for half, chosen in zip(packed, (numbers[:8], numbers[8:]), strict=True):
                half[:] = bits[chosen[0]] if chosen else 0
                for bit, number in enumerate(chosen[1:], 1):
                    np.left_shift(bits[number], bit, out=shifted)
                    half |= shifted
            np.multiply(packed[1], 256, out=outcomes, dtype=np.intp)
            outcomes += packed[0]
            total += table.take(outcomes, mode="clip")
        return total


_Cell = tuple[dict[Split, int], list[tuple[float, list[tuple[Split, bool]]]]]


def _cells(forest: Forest) -> list[_Cell]:
    cells: list[_Cell] = []
    for tree in forest.trees:
        for splits, leaves in _parts(tree):
            near = [cell for cell in cells[-_LOOK_BACK:] if len(splits | cell[0].keys()) <= BITS]
            cell = max(near, key=lambda each: len(splits & each[0].keys()), default=None)
            if cell is None:
                cells.append(cell := ({}, []))
            for split in sorted(splits - cell[0].keys(), key=repr):
                cell[0][split] = len(cell[0])
            cell[1].extend(leaves)
    return cells


def _parts(tree: Tree) -> Iterator[tuple[set[Split], list[tuple[float, list[tuple[Split, bool]]]]]]:
    def leaves(node: int, above: list[tuple[Split, bool]]) -> Iterator[tuple[float, list[tuple[Split, bool]]]]:
        if node < 0:
            yield tree.leaf_values[-1 - node], above
            return
        yield from leaves(tree.left[node], [*above, (tree.splits[node], True)])
        yield from leaves(tree.right[node], [*above, (tree.splits[node], False)])

    def part(
        node: int, above: list[tuple[Split, bool]]
    ) -> Iterator[tuple[set[Split], list[tuple[float, list[tuple[Split, bool]]]]]]:
        own = list(leaves(node, above))
        splits = {split for _, steps in own for split, _ in steps}
        if len(splits) <= BITS:
            yield splits, own
        elif node < 0:
            raise ValueError(f"a path asks {len(splits)} questions")
        else:
            yield from part(tree.left[node], [*above, (tree.splits[node], True)])
            yield from part(tree.right[node], [*above, (tree.splits[node], False)])

    return part(0, []) if tree.splits else iter(())


def _table(cell: _Cell, numbers: dict[Split, int]) -> tuple[list[int], Floats]:
    splits, leaves = cell
    outcomes = np.arange(1 << len(splits))
    answers = {split: (outcomes >> bit & 1).astype(np.bool_) for split, bit in splits.items()}
    table = np.zeros(len(outcomes))
    for value, steps in leaves:
        met = np.ones(len(outcomes), dtype=np.bool_)
        for split, left in steps:
            met &= answers[split] if left else ~answers[split]
        table[met] += value
    return [numbers[split] for split in splits], table
