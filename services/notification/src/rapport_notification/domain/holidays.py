"""Which days are public holidays, by rules that hold for every year."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class HolidayRule:
    """The public holidays of a country.

    Attributes:
        fixed: Month and day.
        easter: Days after Western Easter.
        nth: Month, weekday (Monday is 0) and which one: 1 the first, -1 the last.
    """

    fixed: frozenset[tuple[int, int]] = frozenset()
    easter: frozenset[int] = frozenset()
    nth: frozenset[tuple[int, int, int]] = frozenset()

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> HolidayRule:
        """Read one country of the data file.

        Raises:
            ValueError: It does not read as such rules.
        """
        try:
            return cls(
                frozenset(_month_day(text) for text in data.get("fixed", ())),
                frozenset(int(days) for days in data.get("easter", ())),
                frozenset((int(e["month"]), WEEKDAYS.index(e["weekday"]), int(e["n"])) for e in data.get("nth", ())),
            )
        except (KeyError, TypeError) as error:
            raise ValueError("not rules for holidays") from error

    def includes(self, day: date) -> bool:
        """Say whether a day is a holiday."""
        if (day.month, day.day) in self.fixed:
            return True
        if self.easter and (day - easter(day.year)).days in self.easter:
            return True
        return bool(self.nth) and any(_is_nth(day, *which) for which in self.nth)


NO_HOLIDAYS: Final = HolidayRule()


@lru_cache(maxsize=64)
def easter(year: int) -> date:
    """Return Western Easter Sunday, by the Gregorian rule in its form without exceptions (Meeus, Jones, Butcher)."""
    golden = year % 19
    century, in_century = divmod(year, 100)
    moon = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    week = (32 + 2 * (century % 4) + 2 * (in_century // 4) - moon - in_century % 4) % 7
    late = (golden + 11 * moon + 22 * week) // 451
    month, day = divmod(moon + week - 7 * late + 114, 31)
    return date(year, month, day + 1)


def _month_day(text: str) -> tuple[int, int]:
    day = date.fromisoformat(f"2024-{text}")  # a leap year
    return day.month, day.day


def _is_nth(day: date, month: int, weekday: int, which: int) -> bool:
    if (day.month, day.weekday()) != (month, weekday):
        return False
    if which > 0:
        return (day.day - 1) // 7 + 1 == which
    left = ((day.replace(day=28) + timedelta(days=4)).replace(day=1) - day).days
    return -((left - 1) // 7 + 1) == which
