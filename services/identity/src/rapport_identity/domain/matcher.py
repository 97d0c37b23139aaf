"""A matcher: everything that decides whether two records are of one person, frozen in one version.

The score of a pair is a sum of bits: the prior, one weight per comparison (Fellegi and Sunter), and one term for the
other good explanation of much agreement: that the two are persons of one household. With m, u and h the probabilities
of what was seen between records of one person, of two persons anywhere, and of two persons of one household, and r the
odds that two persons at random share a household,

    score = log2(odds of one person) + sum log2(m/u) - log2(1 + r * product of h/u)

which is the log odds of "one person" against "two persons, of one household or not". A model from Splink has no
households; its score is then that of Splink.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from math import exp2, log1p, log2
from operator import or_
from typing import Final, NamedTuple

from rapport_identity.domain.comparisons import Comparison, codes
from rapport_identity.domain.folding import Columns, fold_record
from rapport_identity.domain.inlined import Line
from rapport_identity.domain.records import Record, RecordKey
from rapport_identity.domain.weighing import Prepared, Weigher, known_of

LN2: Final = 0.6931471805599453
_LARGEST: Final = 1000.0


class Outcome(NamedTuple):
    """The level of a comparison that held, by number, and its bits for one person and for one household."""

    level: int
    person: float
    home: float


@dataclass(frozen=True)
class Matcher:
    """A version of the weights.

    Attributes:
        comparisons: The traits compared.
        prior: Log odds that two records at random are of one person, in bits.
        household_odds: Odds that two persons at random are of one household; 0 leaves the term out.
        frequencies: For each column with term frequencies, how often each value occurs among those that are known.
        unseen: For such a column, the frequency that a value missing from its table is taken to have; where it is not
            given, such a value weighs as the average one, as in Splink.
        join: Average weight from which two clusters are one person.
        fracture: Weight of a pair from which two records are considered together at all; not above `join`.
        largest_component: Records that are considered together at most.
    """

    comparisons: tuple[Comparison, ...]
    prior: float
    household_odds: float = 0.0
    frequencies: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    unseen: Mapping[str, float] = field(default_factory=dict)
    join: float = 0.0
    fracture: float = 0.0
    largest_component: int = 500

    def __post_init__(self) -> None:
        """Refuse values that decide nothing.

        Raises:
            ValueError: The fracture value lies above the join value, or a number is out of range.
        """
        if self.fracture > self.join:
            raise ValueError("the fracture value lies above the join value")
        if self.household_odds < 0 or self.largest_component < 2:
            raise ValueError("household odds are not negative and a component holds two records at least")

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that the comparisons look at, in the order of prepared values."""
        return tuple(sorted(frozenset[str]().union(*(comparison.columns for comparison in self.comparisons))))

    @cached_property
    def codes(self) -> tuple[tuple[str, ...], ...]:
        """The codes of the levels of each comparison."""
        return tuple(codes(comparison) for comparison in self.comparisons)

    def vetoes(self, one: Prepared, other: Prepared) -> bool:
        """Return whether a comparison forbids a match of two records."""
        both = one.known & other.known
        return any(weigher.vetoes(one, other) for weigher in self._vetoing if not weigher.needs or weigher.needs & both)

    @cached_property
    def vetoed(self) -> int:
        """The columns of which a record must know one for a comparison to forbid any match of it; all if any may."""
        needs = [weigher.needs for weigher in self._vetoing]
        return reduce(or_, needs, 0) if all(needs) else -1

    @cached_property
    def _vetoing(self) -> tuple[Weigher, ...]:
        return tuple(weigher for weigher in self._weighers if any(level.veto for level in weigher.levels))

    @cached_property
    def _weighers(self) -> tuple[Weigher, ...]:
        positions = {column: index for index, column in enumerate(self.columns)}
        return tuple(Weigher.of(comparison, positions) for comparison in self.comparisons)

    @cached_property
    def _lines(self) -> "_Lines":
        return _Lines(self._weighers)

    def prepare(self, record: Record) -> Prepared:
        """Return the record as this version sees it; do it once per record."""
        return self.prepare_columns(record.key, fold_record(record))

    def prepare_columns(self, key: RecordKey, columns: Columns) -> Prepared:
        """Return folded columns as this version sees them."""
        values = tuple(map(columns.get, self.columns))
        frequencies: list[float | None] = [None] * len(values)
        for at, table, unseen in self._tables:
            value = values[at]
            if isinstance(value, str):
                frequencies[at] = table.get(value, unseen)
        return Prepared(key, values, tuple(frequencies), known_of(values) & self._lines.needs)

    @cached_property
    def _tables(self) -> tuple[tuple[int, Mapping[str, float], float | None], ...]:
        """Where the columns with frequencies are, and these."""
        return tuple(
            (at, self.frequencies[column], self.unseen.get(column))
            for at, column in enumerate(self.columns)
            if column in self.frequencies
        )

    def score(self, one: Prepared, other: Prepared) -> float:
        """Return the score of a pair; minus infinity where a veto forbids the match."""
        a, b = (one, other) if one.key <= other.key else (other, one)
        left, right, p, q = a.values, b.values, a.frequencies, b.frequencies
        person = home = 0.0
        for line in self._lines[a.known & b.known]:
            bits_person, bits_home = line(left, right, p, q)
            person += bits_person
            home += bits_home
        return self.prior + person + self._household(home)

    def outcomes(self, one: Prepared, other: Prepared) -> tuple["Outcome", ...]:
        """Return what each comparison says of a pair, the same in either order."""
        a, b = (one, other) if one.key <= other.key else (other, one)
        found = []
        for weigher in self._weighers:
            level, person, home = weigher.weigh(a, b)
            found.append(Outcome(weigher.levels.index(level), person, home))
        return tuple(found)

    def usual(self, comparison: int, level: int) -> "Outcome":
        """Return what a level of a comparison weighs for a value that is neither frequent nor rare."""
        person, home, _ = self._weighers[comparison].base[level]
        return Outcome(level, person, home)

    def total(self, person: float, home: float) -> float:
        """Return the score that the summed bits of all comparisons make, vetoes apart."""
        return self.prior + person + self._household(home)

    def _household(self, home: float) -> float:
        return -_log2_1p(self._household_bits + home) if self.household_odds else 0.0

    @cached_property
    def _household_bits(self) -> float:
        return log2(self.household_odds)


def _log2_1p(exponent: float) -> float:
    """Return log2(1 + 2**exponent) without overflow."""
    return exponent if exponent > _LARGEST else log1p(exp2(exponent)) / LN2


class _Lines(dict[int, tuple[Line, ...]]):
    """What is looked at of two records, by the columns that both know, as bits; only those that `needs` names count."""

    def __init__(self, weighers: Sequence[Weigher]) -> None:
        self._weighers = weighers
        self.needs = reduce(or_, (weigher.needs for weigher in weighers), 0)

    def __missing__(self, both: int) -> tuple[Line, ...]:
        self[both] = lines = tuple(each.line for each in self._weighers if not each.needs or each.needs & both)
        return lines
