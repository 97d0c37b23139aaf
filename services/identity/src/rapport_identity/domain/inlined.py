"""A comparison as one function, written out as source: a test that is called costs more than what it tests.

What comes out is the first level whose condition holds, as `Comparison.chooser` finds it. The source is made of fixed
words and of positions alone: whatever a record or a matcher says is named, never written in.
"""

from collections.abc import Callable, Sequence
from typing import Any as Anything

from rapport_identity.domain.conditions import (
    All,
    Any,
    Condition,
    Field,
    Missing,
    Near,
    Otherwise,
    Positions,
    Same,
    Shares,
    Values,
)
from rapport_identity.domain.folding import Column
from rapport_identity.domain.measures import DISTANCES, SIMILARITIES

Frequencies = tuple[float | None, ...]
Weights = tuple[float, float]
"""Bits for one person, and for one household."""

Adjust = Callable[[Frequencies, Frequencies], Weights]
Line = Callable[[Values, Values, Frequencies, Frequencies], Weights]
"""Says what a comparison weighs for two records in the order of their keys."""


def line(levels: Sequence[tuple[Condition, Weights | Adjust]], positions: Positions) -> Line:
    """Return the function that finds what the first level that holds weighs.

    Args:
        levels: Each with its weights, or what tells them by the frequencies of the two; the last one holds always.
        positions: Where records have their columns.
    """
    writer = _Writer(positions)
    source = ["def line(a, b, p, q):"]
    for condition, weights in levels:
        result = writer.name(weights) + ("(p, q)" if callable(weights) else "")
        source.append(f"    if {writer.expression(condition)}: return {result}")
    exec("\n".join(source), writer.names)  # noqa: S102 - nothing from outside is in it: see above
    made: Line = writer.names["line"]
    return made


class _Writer:
    """Writes conditions as expressions on `a` and `b`, and keeps what they name."""

    def __init__(self, positions: Positions) -> None:
        self._positions = positions
        self.names: dict[str, Anything] = {"meet": _meet}

    def name(self, thing: object) -> str:
        name = f"x{len(self.names)}"
        self.names[name] = thing
        return name

    def expression(self, condition: Condition) -> str:
        match condition:
            case Otherwise():
                return "True"
            case All(parts):
                return " and ".join(f"({self.expression(part)})" for part in parts) or "True"
            case Any(parts):
                return " or ".join(f"({self.expression(part)})" for part in parts) or "False"
            case Missing(Field(start=None) as field):
                return f"not {self._read(field)}"
            case Same(Field(start=None) as left, Field(start=None) as right):
                return f"{self._read(left)} is not None and {self._read(left)} == {self._read(right)}"
            case Shares(Field(start=None) as left, Field(start=None) as right, 1):
                return f"meet({self._read(left)}, {self._read(right)})"
            case Near(measure, Field(start=None) as left, Field(start=None) as right, limit):
                one, other = self._read(left), self._read(right)
                texts, most = f"isinstance({one}, str) and isinstance({other}, str)", self.name(limit)
                if measure in SIMILARITIES:
                    return f"{texts} and {self.name(SIMILARITIES[measure])}({one}, {other}) >= {most}"
                distance = f"{self.name(DISTANCES[measure])}({one}, {other})"
                return f"{texts} and abs(len({one}) - len({other})) <= {most} and {distance} <= {most}"
            case _:
                return f"{self.name(condition.test(self._positions))}(a, b)"

    def _read(self, field: Field) -> str:
        return f"{'a' if field.side == 'l' else 'b'}[{self._positions[field.column]}]"


def _meet(left: Column, right: Column) -> bool:
    if left and right:
        for value in left:
            if value in right:
                return True
    return False
