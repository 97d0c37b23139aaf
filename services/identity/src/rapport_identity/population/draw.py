"""Chance by seed: the same draws on every machine, and numbers that never repeat without any memory of those given out.

Only operations that every platform rounds alike are used: `Random.random`, whose sequence Python keeps, and the four
basic operations on its results.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate
from math import gcd
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


def number(*parts: int | str) -> int:
    """Return 64 bits that depend on every part and on nothing else."""
    return int.from_bytes(blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest(), "big")


def token(*parts: int | str) -> str:
    """Return 24 hexadecimal digits that depend on every part; as good as unique."""
    return blake2b("\x1f".join(map(str, parts)).encode(), digest_size=12).hexdigest()


def scatter(index: int, size: int, *parts: int | str) -> int:
    """Return a number below the size, another one for each index below the size, in no visible order.

    Args:
        index: What the number stands for.
        size: How many numbers there are. A larger index begins again.
        parts: What chooses the order.
    """
    factor = size * 618_033_989 // 10**9 | 1  # near the golden section, so that neighbours end far apart
    while gcd(factor, size) != 1:
        factor += 2
    return (index * factor + number("scatter", *parts)) % size


class Draw:
    """Draws from one sequence of chance.

    Args:
        parts: What the sequence depends on.
    """

    __slots__ = ("_next",)

    def __init__(self, *parts: int | str) -> None:
        self._next = Random(number(*parts)).random  # noqa: S311 - chance that must repeat, not secrets

    def chance(self, share: float) -> bool:
        """Return True in this share of draws."""
        return self._next() < share

    def below(self, size: int) -> int:
        """Return one of 0, 1 … size - 1."""
        return int(self._next() * size)

    def between(self, lowest: int, highest: int) -> int:
        """Return a number from the lowest to the highest, both included."""
        return lowest + int(self._next() * (highest - lowest + 1))

    def pick(self, values: Sequence[T]) -> T:
        """Return one of the values."""
        return values[int(self._next() * len(values))]

    def weighted(self, values: Weighted[T]) -> T:
        """Return one of the values by its weight."""
        return values.at(self._next())


class Weighted(Generic[T]):
    """Values of which some are drawn more often.

    Args:
        values: The values.
        weights: A weight for each; without them each value is rarer than the one before (Zipf-Mandelbrot).
        flatness: How slowly frequency falls where no weights are given.
    """

    def __init__(self, values: Sequence[T], weights: Sequence[float] | None = None, *, flatness: int = 10) -> None:
        self._values = values
        self._bounds = list(accumulate(weights or [1 / (rank + flatness) for rank in range(len(values))]))

    def at(self, share: float) -> T:
        """Return the value that lies at this share, 0 included and 1 excluded, of all weights."""
        place = bisect_right(self._bounds, share * self._bounds[-1])
        return self._values[min(place, len(self._values) - 1)]
