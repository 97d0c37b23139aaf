"""Facts of one source in the order they happened, with running sums: a sum over any window is one subtraction."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import Final

from rapport_churn.domain.facts import DAY
from rapport_churn.domain.terms import Aggregate

BY_DAY: Final = frozenset({Aggregate.DAYS, Aggregate.GAPS, Aggregate.SQUARES})


class Track:
    """A stack of facts: facts are wound on in order of time and unwound in the opposite order.

    Attributes:
        times: When each happened.
        values: Sum of the values of the first n facts, from n = 0; None if nobody asks.
        quantities: The same of quantities.
        days: The number of different days of the first n facts.
        squares: The sum of the squares of the gaps between these days.
        channels: The channel of each.
    """

    __slots__ = ("channels", "days", "quantities", "squares", "times", "values")

    def __init__(self, asked: frozenset[Aggregate]) -> None:
        self.times = array("q")
        self.values = array("q", [0]) if Aggregate.VALUE in asked else None
        self.quantities = array("q", [0]) if Aggregate.QUANTITY in asked else None
        self.days = array("q", [0]) if asked & BY_DAY else None
        self.squares = array("q", [0]) if Aggregate.SQUARES in asked else None
        self.channels = array("B") if Aggregate.CHANNEL in asked else None

    def wind(self, time: int, value: int, quantity: int, channel: int) -> None:
        """Put on a fact that is not before those wound."""
        if (days := self.days) is not None:
            gap = time // DAY - self.times[-1] // DAY if self.times else 1
            days.append(days[-1] + (gap > 0))
            if (squares := self.squares) is not None:
                squares.append(squares[-1] + (gap * gap if self.times else 0))
        self.times.append(time)
        if (values := self.values) is not None:
            values.append(values[-1] + value)
        if (quantities := self.quantities) is not None:
            quantities.append(quantities[-1] + quantity)
        if self.channels is not None:
            self.channels.append(channel)

    def unwind(self) -> None:
        """Take off the fact wound last."""
        for column in (self.times, self.values, self.quantities, self.days, self.squares, self.channels):
            if column is not None:
                column.pop()

    def different_days(self, start: int, end: int) -> int:
        """Count the days of the facts from `start` to before `end`."""
        assert self.days is not None
        return self.days[end] - self.days[start + 1] + 1 if end > start else 0

    def last_gap(self, end: int) -> int | None:
        """Return the days between the last two different days of the first `end` facts; None without two."""
        day = self.times[end - 1] // DAY
        first = bisect_left(self.times, day * DAY, 0, end)
        return day - self.times[first - 1] // DAY if first else None

    def first_day(self, end: int) -> int:
        """Count those of the first `end` facts that are of the first day."""
        return bisect_right(self.times, (self.times[0] // DAY + 1) * DAY - 1, 0, end)
