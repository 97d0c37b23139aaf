"""Comparisons with their weights computed beforehand.

There are two ways through them: one that says what every comparison contributed, for whoever explains, and one that
only adds up, for the many pairs that blocking brings together. The second passes over whatever one of the records says
nothing of, which is most; both come to the same sum, to the last bit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp2, inf, log2

from rapport_identity.domain.comparisons import Comparison, Level, bits
from rapport_identity.domain.conditions import Otherwise, Positions, Values
from rapport_identity.domain.inlined import Adjust, Frequencies, Line, Weights, line
from rapport_identity.domain.records import RecordKey


@dataclass(slots=True, eq=False)
class Prepared:
    """A record as one matcher version sees it.

    Attributes:
        key: What its source calls it.
        values: Its columns in the order of the matcher.
        frequencies: The frequency of each text among them.
        known: The columns of which it says something, as bits.
    """

    key: RecordKey
    values: Values
    frequencies: Frequencies
    known: int


def known_of(values: Values) -> int:
    """Return the columns of which something is said, as bits."""
    known, bit = 0, 1
    for value in values:
        if value:
            known |= bit
        bit <<= 1
    return known


@dataclass(frozen=True, slots=True)
class Weigher:
    """A comparison with its weights.

    Attributes:
        name: Its name.
        choose: Finds the first level that holds.
        levels: Its levels.
        base: For each level: bits for one person, bits for one household, position of the term column.
        needs: Columns, as bits, of which both records must know one for it to say anything; 0 if it always may.
        line: What it weighs for two records where they do.
    """

    name: str
    choose: Callable[[Values, Values], int]
    levels: tuple[Level, ...]
    base: tuple[tuple[float, float, int | None], ...]
    needs: int
    line: Line

    @classmethod
    def of(cls, comparison: Comparison, positions: Positions) -> "Weigher":
        """Return a comparison as records in this order of columns are weighed by it."""
        base = []
        for level in comparison.levels:
            at = positions[level.term] if level.term and not level.is_null else None
            base.append((*_bits(level), at))
        needs = sum(1 << positions[column] for column in comparison.needs)
        levels = zip(comparison.levels, base, strict=True)
        gains = [(level.condition, _gain(level, *weights)) for level, weights in levels]
        # The last level holds always, whatever its condition.
        lines = [*gains[comparison.settled : -1], (Otherwise(), gains[-1][1])]
        choose = comparison.chooser(positions)
        return cls(comparison.name, choose, comparison.levels, tuple(base), needs, line(lines, positions))

    def vetoes(self, one: Prepared, other: Prepared) -> bool:
        """Whether it forbids a match of two records."""
        a, b = (one, other) if one.key <= other.key else (other, one)
        return self.levels[self.choose(a.values, b.values)].veto

    def weigh(self, a: Prepared, b: Prepared) -> tuple[Level, float, float]:
        """Return the level that holds for two records in the order of their keys, and its bits."""
        index = self.choose(a.values, b.values)
        level = self.levels[index]
        person, home, at = self.base[index]
        if at is not None:
            person, home = _adjusted(level, person, home, a.frequencies[at], b.frequencies[at])
        return level, person, home


def _gain(level: Level, person: float, home: float, at: int | None) -> Weights | Adjust:
    """Return what a level weighs, a veto minus infinity; what tells it by its frequency where that matters."""
    if level.veto:
        return -inf, 0.0
    if at is None:
        return person, home
    known: dict[tuple[float | None, float | None], Weights] = {}

    def adjust(a: Frequencies, b: Frequencies) -> Weights:
        pair = a[at], b[at]
        weights = known.get(pair)
        if weights is None:
            weights = known[pair] = _adjusted(level, person, home, *pair)
        return weights

    return adjust


def _adjusted(level: Level, person: float, home: float, left: float | None, right: float | None) -> tuple[float, float]:
    if left is None and right is None:
        return person, home
    return _with_frequency(level, person, home, max(left or 0.0, right or 0.0, level.term_floor))


def _bits(level: Level) -> tuple[float, float]:
    if level.m is None or level.u is None:
        return 0.0, 0.0
    return bits(level.m, level.u), bits(level.u if level.h is None else level.h, level.u)


def _with_frequency(level: Level, person: float, home: float, frequency: float) -> tuple[float, float]:
    """Return the bits of a level for a value of that frequency.

    Two persons of one household share a value because they have it from one another, whatever its frequency, or by
    chance like anybody; two persons at random only by chance.
    """
    assert level.u is not None
    expected = level.u if level.term_u is None else level.term_u
    shift = level.term_weight * bits(expected, frequency)
    if level.h is not None and level.u < level.h < 1:
        shared = (level.h - level.u) / (1 - level.u)
        home = log2(shared / level.u * exp2(shift) + 1 - shared)
    return person + shift, home
