"""The closed set of conditions that a comparison level may state about two records.

Each is data, has a form in SQL that Splink can train with, and compiles to a test on two prepared records. A missing
value makes a condition false, as NULL does in SQL; there is no negation, so the three-valued logic needs no more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from rapport_identity.domain.folding import Column
from rapport_identity.domain.measures import DISTANCES, SIMILARITIES, judge_of

Values = tuple[Column, ...]
"""The columns of one record in the order of the matcher."""

Test = Callable[[Values, Values], bool]
Positions = Mapping[str, int]
_Read = Callable[[Values, Values], Column]


@dataclass(frozen=True, slots=True)
class Field:
    """A column of one side, `l` or `r`; from sign `start` (counted from 1), `length` signs of it."""

    column: str
    side: str
    start: int | None = None
    length: int | None = None

    def sql(self) -> str:
        """Return the form in SQL."""
        name = f'"{self.column}_{self.side}"'
        return name if self.start is None else f"SUBSTR({name}, {self.start}, {self.length})"

    def reader(self, positions: Positions) -> _Read:
        """Return what reads the value from two records."""
        at, left = positions[self.column], self.side == "l"
        if self.start is not None and self.length is not None:
            first, last = self.start - 1, self.start - 1 + self.length

            def cut(a: Values, b: Values) -> Column:
                value = (a if left else b)[at]
                return value[first:last] if isinstance(value, str) else None

            return cut
        return (lambda a, b: a[at]) if left else (lambda a, b: b[at])


def _whole(left: Field, right: Field, positions: Positions) -> tuple[int, int] | None:
    """Return where two fields are, if they are whole columns of the one record and of the other in this order."""
    if left.start is None and right.start is None and (left.side, right.side) == ("l", "r"):
        return positions[left.column], positions[right.column]
    return None


@dataclass(frozen=True, slots=True)
class Missing:
    """The field is not known."""

    field: Field

    def sql(self) -> str:
        """Return the form in SQL."""
        return f"{self.field.sql()} IS NULL"

    def test(self, positions: Positions) -> Test:
        """Return what decides it for two records."""
        if self.field.start is None:
            at = positions[self.field.column]
            return (lambda a, b: not a[at]) if self.field.side == "l" else (lambda a, b: not b[at])
        read = self.field.reader(positions)
        return lambda a, b: not read(a, b)


@dataclass(frozen=True, slots=True)
class Same:
    """Both fields hold the same value."""

    left: Field
    right: Field

    def sql(self) -> str:
        """Return the form in SQL."""
        return f"{self.left.sql()} = {self.right.sql()}"

    def test(self, positions: Positions) -> Test:
        """Return what decides it for two records."""
        if (whole := _whole(self.left, self.right, positions)) is not None:
            i, j = whole
            return lambda a, b: a[i] is not None and a[i] == b[j]
        one, other = self.left.reader(positions), self.right.reader(positions)

        def same(a: Values, b: Values) -> bool:
            value = one(a, b)
            return value is not None and value == other(a, b)

        return same


@dataclass(frozen=True, slots=True)
class Near:
    """A similarity is at least, or a distance at most, a limit."""

    measure: str
    left: Field
    right: Field
    limit: float

    def sql(self) -> str:
        """Return the form in SQL."""
        sign = ">=" if self.measure in SIMILARITIES else "<="
        limit = int(self.limit) if self.measure in DISTANCES else self.limit
        return f"{self.measure}({self.left.sql()}, {self.right.sql()}) {sign} {limit}"

    def test(self, positions: Positions) -> Test:
        """Return what decides it for two records."""
        judge = judge_of(self.measure, self.limit)
        if (whole := _whole(self.left, self.right, positions)) is not None:
            i, j = whole
            return lambda a, b: judge(a[i], b[j])
        one, other = self.left.reader(positions), self.right.reader(positions)
        return lambda a, b: judge(one(a, b), other(a, b))


@dataclass(frozen=True, slots=True)
class Shares:
    """Two lists have at least so many values in common."""

    left: Field
    right: Field
    least: int = 1

    def sql(self) -> str:
        """Return the form in SQL."""
        return f"ARRAY_LENGTH(LIST_INTERSECT({self.left.sql()}, {self.right.sql()})) >= {self.least}"

    def test(self, positions: Positions) -> Test:
        """Return what decides it for two records."""
        one, other, least = self.left.reader(positions), self.right.reader(positions), self.least
        whole = _whole(self.left, self.right, positions)
        if least == 1 and whole is not None:
            i, j = whole

            def meets(a: Values, b: Values) -> bool:
                left, right = a[i], b[j]
                if left and right:
                    for value in left:
                        if value in right:
                            return True
                return False

            return meets

        def shares(a: Values, b: Values) -> bool:
            left, right = one(a, b), other(a, b)
            if not left or not right:
                return False
            return len(set(left).intersection(right)) >= least

        return shares


@dataclass(frozen=True, slots=True)
class Disjoint:
    """Two lists are known and have nothing in common."""

    left: Field
    right: Field

    def sql(self) -> str:
        """Return the form in SQL."""
        return f"ARRAY_LENGTH(LIST_INTERSECT({self.left.sql()}, {self.right.sql()})) = 0"

    def test(self, positions: Positions) -> Test:
        """Return what decides it for two records."""
        one, other = self.left.reader(positions), self.right.reader(positions)

        def disjoint(a: Values, b: Values) -> bool:
            left, right = one(a, b), other(a, b)
            return bool(left and right) and set(left or ()).isdisjoint(right or ())

        return disjoint


@dataclass(frozen=True, slots=True)
class Within:
    """Two dates of one written form lie at most so many seconds apart; a text that is no date is missing."""

    left: Field
    right: Field
    seconds: float
    pattern: str = "%Y-%m-%d"

    def sql(self) -> str:
        """Return the form in SQL."""
        one, other = (f"EPOCH(TRY_STRPTIME({field.sql()}, '{self.pattern}'))" for field in (self.left, self.right))
        return f"ABS({one} - {other}) <= {self.seconds}"

    def test(self, positions: Positions) -> Test:
        """Return what decides it for two records."""
        one, other = self.left.reader(positions), self.right.reader(positions)
        seconds, pattern = self.seconds, self.pattern

        def within(a: Values, b: Values) -> bool:
            left, right = _moment(one(a, b), pattern), _moment(other(a, b), pattern)
            return left is not None and right is not None and abs((left - right).total_seconds()) <= seconds

        return within


def _moment(value: Column, pattern: str) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        return datetime.strptime(value, pattern)  # noqa: DTZ007 a birth date has no zone
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple["Condition", ...]

    def sql(self) -> str:
        """Return the form in SQL."""
        return " AND ".join(f"({part.sql()})" for part in self.parts)

    def test(self, positions: Positions) -> Test:
        """Return what decides it for two records."""
        tests = [part.test(positions) for part in self.parts]
        if len(tests) == 2:
            first, second = tests
            return lambda a, b: first(a, b) and second(a, b)

        def every(a: Values, b: Values) -> bool:
            for test in tests:  # noqa: SIM110 - a generator would cost more than the tests
                if not test(a, b):
                    return False
            return True

        return every


@dataclass(frozen=True, slots=True)
class Any:
    """Some part holds."""

    parts: tuple["Condition", ...]

    def sql(self) -> str:
        """Return the form in SQL."""
        return " OR ".join(f"({part.sql()})" for part in self.parts)

    def test(self, positions: Positions) -> Test:
        """Return what decides it for two records."""
        match self.parts:
            case (Missing(Field(one, "l", None)), Missing(Field(other, "r", None))):
                i, j = positions[one], positions[other]
                return lambda a, b: not (a[i] and b[j])
        tests = [part.test(positions) for part in self.parts]
        if len(tests) == 2:
            first, second = tests
            return lambda a, b: first(a, b) or second(a, b)

        def some(a: Values, b: Values) -> bool:
            for test in tests:  # noqa: SIM110 - a generator would cost more than the tests
                if test(a, b):
                    return True
            return False

        return some


@dataclass(frozen=True, slots=True)
class Otherwise:
    """Whatever no earlier level took."""

    def sql(self) -> str:
        """Return the form in SQL."""
        return "ELSE"

    def test(self, positions: Positions) -> Test:
        """Return what decides it for two records."""
        return lambda a, b: True


Condition = Missing | Same | Near | Shares | Disjoint | Within | All | Any | Otherwise


def columns_of(condition: Condition) -> frozenset[str]:
    """Return the columns that a condition looks at."""
    match condition:
        case All(parts) | Any(parts):
            return frozenset().union(*(columns_of(part) for part in parts))
        case Otherwise():
            return frozenset()
        case Missing(field):
            return frozenset({field.column})
        case _:
            return frozenset({condition.left.column, condition.right.column})
