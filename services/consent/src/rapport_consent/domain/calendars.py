"""Which days are worked on, by rules that hold for every year and single days that none foretells."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

_SATURDAY = 5
_FRIDAY_BEFORE, _MONDAY_AFTER = timedelta(days=-1), timedelta(days=1)


class Shift(StrEnum):
    """Where a day of fixed date goes that falls on a weekend."""

    NONE = "none"
    MONDAY = "monday"
    NEAREST = "nearest"


@dataclass(frozen=True)
class WorkingDays:
    """The calendar of one market.

    Attributes:
        name: Market and version: the same name answers the same for ever.
        fixed: Month and day.
        easter: Days after Western Easter.
        nth: Month, weekday (Monday is 0) and which one: 1 the first, -1 the last.
        after_nth: Likewise, for the day that follows.
        shift: Where a fixed day goes that falls on a weekend.
        days: Single days that are not worked on.
        worked: Single days of weekends that are worked on.
    """

    name: str
    fixed: frozenset[tuple[int, int]] = frozenset()
    easter: frozenset[int] = frozenset()
    nth: tuple[tuple[int, int, int], ...] = ()
    after_nth: tuple[tuple[int, int, int], ...] = ()
    shift: Shift = Shift.NONE
    days: frozenset[date] = frozenset()
    worked: frozenset[date] = frozenset()
    _years: dict[int, frozenset[date]] = field(default_factory=dict, compare=False)

    def is_working(self, day: date) -> bool:
        """Whether a day is worked on."""
        if day in self.worked:
            return True
        return day.weekday() < _SATURDAY and day not in self.days and day not in self._holidays(day.year)

    def _holidays(self, year: int) -> frozenset[date]:
        """Return the days of a year that are not worked on; a shifted one may be of the year before or after."""
        if year not in self._years:
            found = frozenset().union(*(self._of(each) for each in (year - 1, year, year + 1)))
            self._years[year] = frozenset(day for day in found if day.year == year)
        return self._years[year]

    def _of(self, year: int) -> frozenset[date]:
        found = {easter(year) + timedelta(days=each) for each in self.easter}
        found |= {_nth(year, *each) for each in self.nth}
        found |= {_nth(year, *each) + timedelta(days=1) for each in self.after_nth}
        for month, day in sorted(self.fixed):
            found.add(self._shifted(date(year, month, day), found))
        return frozenset(found)

    def _shifted(self, day: date, taken: set[date]) -> date:
        if day.weekday() < _SATURDAY or self.shift is Shift.NONE:
            return day
        if self.shift is Shift.NEAREST:
            return day + (_FRIDAY_BEFORE if day.weekday() == _SATURDAY else _MONDAY_AFTER)
        while day.weekday() >= _SATURDAY or day in taken:
            day += timedelta(days=1)
        return day


def easter(year: int) -> date:
    """Return Western Easter Sunday, by the Gregorian rule in its form without exceptions (Meeus, Jones, Butcher)."""
    golden = year % 19
    century, in_century = divmod(year, 100)
    leaps, rest = divmod(century, 4)
    moon = (19 * golden + century - leaps - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    quarter, left = divmod(in_century, 4)
    weekday = (32 + 2 * rest + 2 * quarter - moon - left) % 7
    shift = (golden + 11 * moon + 22 * weekday) // 451
    month, day = divmod(moon + weekday - 7 * shift + 114, 31)
    return date(year, month, day + 1)


def _nth(year: int, month: int, weekday: int, which: int) -> date:
    if which > 0:
        first = date(year, month, 1)
        return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (which - 1))
    following = date(year + month // 12, month % 12 + 1, 1)
    last = following - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - weekday) % 7 + 7 * (-which - 1))
