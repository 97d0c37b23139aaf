"""What comes round each year for a person: of which dates, when a round begins, and which have begun since a time.

A round is named by its year, so it comes once whoever counts, and says nothing of the date.
"""

from __future__ import annotations

from calendar import isleap
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Final

OPEN: Final = timedelta(days=1)
"""For how long a day that has begun is the present one."""

CATCH_UP: Final = timedelta(days=7)
"""Days that nobody looked at are caught up on as far back as this; a later congratulation is worse than none."""

PLACEHOLDERS: Final = frozenset({date(1900, 1, 1), date(1970, 1, 1)})
"""Dates that stand in sources where none was known: nobody is congratulated on them."""


class Anniversary(StrEnum):
    """What comes round."""

    BIRTHDAY = "birthday"
    CUSTOMER = "customer"
    """The day the person was first seen, in the world."""


def agreed(dates: Iterable[str | None]) -> date | None:
    """Return the one date that records say, those aside that say none.

    None if they differ, if what they say is no date, and if it is a placeholder: nobody is told what may be wrong.

    Args:
        dates: Year, month and day of each record, as ISO 8601 has them.
    """
    said = {each for each in dates if each}
    if len(said) != 1:
        return None
    try:
        found = date.fromisoformat(said.pop())
    except ValueError:
        return None
    return None if found in PLACEHOLDERS else found


def falls_on(origin: date, year: int) -> date:
    """Return the day of a round: of 29 February, where the year has none, the day after the 28th and never before."""
    if (origin.month, origin.day) == (2, 29) and not isleap(year):
        return date(year, 3, 1)
    return origin.replace(year=year)


def begins(day: date, zones: Sequence[tzinfo]) -> datetime:
    """Return when a day has begun in every zone that a person may be in; by UTC if none is known."""
    return max(datetime.combine(day, time(), zone).astimezone(UTC) for zone in zones or (UTC,))


def come_round(origin: date, zones: Sequence[tzinfo], since: datetime, until: datetime) -> int | None:
    """Return the year of the round that began last in a time; None if none did. The day itself is no round.

    Args:
        origin: What comes round.
        zones: Where the person may be.
        since: Begin of the time, exclusive.
        until: End of the time, inclusive.
    """
    for year in range(until.year + 1, since.year - 2, -1):
        if year > origin.year and since < begins(falls_on(origin, year), zones) <= until:
            return year
    return None


def window(looked_until: datetime, now: datetime) -> datetime:
    """Return since when rounds count that begin up to now: the present day, and days that nobody looked at.

    Args:
        looked_until: Up to when somebody has looked at everybody.
        now: The time.
    """
    return max(min(looked_until, now - OPEN), now - CATCH_UP)


def days(since: datetime, until: datetime) -> frozenset[str]:
    """Return month and day, as "MM-DD", of all dates of which a round may begin in a time, in whatever zones."""
    found: set[str] = set()
    day = since.astimezone(UTC).date() - timedelta(days=1)
    while day <= until.astimezone(UTC).date() + timedelta(days=1):
        found.add(f"{day.month:02}-{day.day:02}")
        if (day.month, day.day) == (3, 1) and not isleap(day.year):
            found.add("02-29")
        day += timedelta(days=1)
    return frozenset(found)
