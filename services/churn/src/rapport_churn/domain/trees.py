"""The trees of a LightGBM model, read from its text into plain tuples.

Only what decides a score is kept. The rules of a split are LightGBM's own: a number goes left if it is not above the
threshold, a missing number goes where the split learned, or counts as zero where none was seen in training; a code goes
left if it is in the split's set, and any other, unknown or missing code goes right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_CATEGORICAL: Final = 1
_DEFAULT_LEFT: Final = 2
_MISSING_SHIFT: Final = 2
_MISSING_NONE: Final = 0
_MISSING_ZERO: Final = 1
_WORD: Final = 32


class UnreadableModelError(Exception):
    """The text is not a model that can be served: damaged, or of a kind that training never makes."""


class NotTabulableError(Exception):
    """A path asks too many questions, or tables would be too large: the trees must be walked."""


class Missing(IntEnum):
    """Where a split sends a missing number."""

    AS_ZERO = 0
    LEFT = 1
    RIGHT = 2


class Split(NamedTuple):
    """A question with two answers. Equal splits of different trees compare equal.

    Attributes:
        feature: Number of the column.
        threshold: What a number must not exceed to go left; 0 for codes.
        missing: Where a missing number goes.
        codes: The codes that go left, ascending; None for a split of numbers.
    """

    feature: int
    threshold: float
    missing: Missing
    codes: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree. A child of 0 or more is a split; a negative one is the leaf of number -1 - child.

    Attributes:
        splits: The questions; empty for a tree of one leaf.
        left: Child for each split.
        right: The other child.
        leaf_values: What each leaf adds to the log-odds.
        leaf_counts: Training rows in each leaf.
        split_counts: Training rows at each split.
    """

    splits: tuple[Split, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    leaf_values: tuple[float, ...]
    leaf_counts: tuple[float, ...]
    split_counts: tuple[float, ...]

    def count(self, node: int) -> float:
        """Return the training rows at a node."""
        return self.split_counts[node] if node >= 0 else self.leaf_counts[-1 - node]

    def expected(self) -> float:
        """Return the mean of the leaf values over the training rows."""
        if not self.splits:
            return self.leaf_values[0]
        total = self.split_counts[0]
        return sum(value * (count / total) for value, count in zip(self.leaf_values, self.leaf_counts, strict=True))

    def value(self, row: NDArray[np.float64]) -> float:
        """Return what the tree adds for one row; plain and slow, for checks."""
        if not self.splits:
            return self.leaf_values[0]
        node = 0
        while node >= 0:
            split = self.splits[node]
            node = self.left[node] if goes_left(split, float(row[split.feature])) else self.right[node]
        return self.leaf_values[-1 - node]


def goes_left(split: Split, value: float) -> bool:
    """Answer the question of a split for one value."""
    if split.codes is not None:
        return value == value and value > -1.0 and int(value) in split.codes
    if value != value:
        if split.missing is not Missing.AS_ZERO:
            return split.missing is Missing.LEFT
        value = 0.0
    return value <= split.threshold


@dataclass(frozen=True, slots=True)
class Forest:
    """A model of log-odds: the sum of what its trees add.

    Attributes:
        features: How many columns a row has.
        trees: The trees, in their order.
    """

    features: int
    trees: tuple[Tree, ...]


def parse(text: str) -> Forest:
    """Read a model.

    Raises:
        UnreadableModelError: The text is damaged, or the model has several classes, linear leaves, averaged output, or
            takes zero for missing.
    """
    head, *blocks = text.partition("\nend of trees")[0].split("\nTree=")
    header = _pairs(head)
    if header.get("num_class") != "1" or "average_output" in head.splitlines():
        raise UnreadableModelError("only models of one class whose trees add up are served")
    try:
        features = int(header["max_feature_idx"]) + 1
        trees = tuple(_tree(_pairs(block), features) for block in blocks)
    except (KeyError, ValueError, IndexError) as error:
        raise UnreadableModelError("the text of the model is damaged") from error
    if not trees:
        raise UnreadableModelError("the model has no trees")
    return Forest(features, trees)


def _pairs(block: str) -> Mapping[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _tree(pairs: Mapping[str, str], features: int) -> Tree:
    leaves = int(pairs["num_leaves"])
    if pairs.get("is_linear", "0") != "0":
        raise UnreadableModelError("linear leaves are not served")
    values = tuple(_numbers(pairs, "leaf_value"))
    if leaves == 1:
        return Tree((), (), (), values[:1], (1.0,), ())
    left, right = tuple(map(int, _numbers(pairs, "left_child"))), tuple(map(int, _numbers(pairs, "right_child")))
    counts, inner = tuple(_numbers(pairs, "leaf_count")), tuple(_numbers(pairs, "internal_count"))
    splits = tuple(_splits(pairs))
    if (
        not len(values) == len(counts) == leaves
        or not len(splits) == len(left) == len(right) == len(inner) == leaves - 1
    ):
        raise UnreadableModelError("a tree is not whole")
    reached = sorted((*left, *right))
    if reached != [*range(-leaves, 0), *range(1, leaves - 1)] or any(split.feature >= features for split in splits):
        raise UnreadableModelError("a tree is not a tree")
    if min(counts) <= 0 or min(inner) <= 0:
        raise UnreadableModelError("a tree does not say how many rows it was learned from")
    return Tree(splits, left, right, values, counts, inner)


def _numbers(pairs: Mapping[str, str], name: str) -> Iterator[float]:
    return (float(word) for word in pairs[name].split())


def _splits(pairs: Mapping[str, str]) -> Iterator[Split]:
    bounds = [int(each) for each in _numbers(pairs, "cat_boundaries")] if int(pairs["num_cat"]) else []
    words = [int(word) for word in pairs["cat_threshold"].split()] if bounds else []
    rows = zip(
        _numbers(pairs, "split_feature"), _numbers(pairs, "threshold"), _numbers(pairs, "decision_type"), strict=True
    )
    for feature, threshold, decision in rows:
        kind = int(decision)
        if kind & _CATEGORICAL:
            own = words[bounds[int(threshold)] : bounds[int(threshold) + 1]]
            codes = tuple(at for at in range(_WORD * len(own)) if own[at // _WORD] >> at % _WORD & 1)
            yield Split(int(feature), 0.0, Missing.RIGHT, codes)
            continue
        missing = kind >> _MISSING_SHIFT & 3
        if missing == _MISSING_ZERO:
            raise UnreadableModelError("a model that takes zero for missing is not served")
        to = Missing.AS_ZERO if missing == _MISSING_NONE else Missing.LEFT if kind & _DEFAULT_LEFT else Missing.RIGHT
        yield Split(int(feature), threshold, to)
