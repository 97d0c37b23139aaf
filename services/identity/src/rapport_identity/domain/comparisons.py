"""A comparison: what two records say of one trait, as the first of its levels that holds, and what that weighs."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import log2
from typing import Final

from rapport_identity.domain.conditions import All, Any, Condition, Field, Missing, Positions, Test, Values, columns_of

LEAST: Final = 1e-300
"""No probability is taken as less, so that every weight is finite; as in Splink."""

MISSING: Final = "missing"
"""Code of the level of a comparison of which nothing is known; it weighs nothing."""

_SIGNS: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Level:
    """One degree of agreement.

    Attributes:
        label: What it says, for a person.
        condition: When it holds, if no earlier level does.
        m: Probability of it between two records of one person.
        u: Probability of it between records of two persons.
        h: Probability of it between two persons of one household; None: as between any two.
        term: Column (of texts) whose value says by its frequency how telling the agreement is; None if all values
            tell the same.
        term_weight: Share of the adjustment by frequency that is applied, 0 to 1.
        term_floor: Least frequency that is believed.
        term_u: Probability that the frequency stands in for; None: `u`.
        veto: Records that agree in this degree are never of one person, whatever else agrees.
    """

    label: str
    condition: Condition
    m: float | None = None
    u: float | None = None
    h: float | None = None
    term: str | None = None
    term_weight: float = 1.0
    term_floor: float = 0.0
    term_u: float | None = None
    veto: bool = False

    @property
    def is_null(self) -> bool:
        """Whether the level says that nothing is known, which weighs nothing."""
        return self.m is None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One trait and its levels, the most telling first, the last holding always."""

    name: str
    levels: tuple[Level, ...]

    @property
    def columns(self) -> frozenset[str]:
        """The columns that the levels look at."""
        terms = {level.term for level in self.levels if level.term}
        return frozenset(terms).union(*(columns_of(level.condition) for level in self.levels))

    @property
    def needs(self) -> frozenset[str]:
        """The columns of which both records must know one, or the first level says that nothing is known."""
        condition = self.levels[0].condition
        if not self.levels[0].is_null or self.levels[0].veto:
            return frozenset()
        parts = condition.parts if isinstance(condition, All) else (condition,)
        columns = [_required(part) for part in parts]
        return frozenset(column for column in columns if column) if all(columns) else frozenset()

    @property
    def settled(self) -> int:
        """How many of the levels cannot hold where both records know what `needs` names."""
        condition = self.levels[0].condition
        parts = condition.parts if isinstance(condition, All) else (condition,)
        return int(bool(self.needs) and all(isinstance(part, Any) and len(part.parts) == 2 for part in parts))

    def chooser(self, positions: Positions) -> Callable[[Values, Values], int]:
        """Return what finds the first level that holds for two prepared records."""
        tests: list[Test] = [level.condition.test(positions) for level in self.levels[:-1]]
        last = len(tests)

        def choose(a: Values, b: Values) -> int:
            for index, test in enumerate(tests):
                if test(a, b):
                    return index
            return last

        return choose


def _required(condition: Condition) -> str | None:
    """Return a column that both records must know, or the condition holds."""
    sides: dict[str, set[str]] = {}
    for part in condition.parts if isinstance(condition, Any) else ():
        if isinstance(part, Missing) and part.field.start is None:
            sides.setdefault(part.field.column, set()).add(part.field.side)
    return next((column for column, found in sides.items() if len(found) == 2), None)


def codes(comparison: Comparison) -> tuple[str, ...]:
    """Return a code for each level, different from one another."""
    found: list[str] = []
    for at, level in enumerate(comparison.levels):
        code = MISSING if level.is_null and not at else _SIGNS.sub("_", level.label.casefold()).strip("_") or "level"
        seen = sum(other == code or other.startswith(f"{code}_again") for other in found)
        found.append(f"{code}_again_{seen}" if seen else code)
    return tuple(found)


def unknown(column: str, *others: Condition) -> Level:
    """Return the level for a column that either record lacks, or for which one of the other conditions holds."""
    return Level("not known", Any((Missing(Field(column, "l")), Missing(Field(column, "r")), *others)))


def bits(probability: float, other: float) -> float:
    """Return the weight of evidence of two probabilities, in bits."""
    return log2(max(probability, LEAST) / max(other, LEAST))
