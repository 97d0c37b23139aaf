"""When advertising may not be sent: at night, on Sundays, on holidays, in every place where the person may be.

Rules are windows of local time. A person's place is seldom certain, so a message goes only when each zone that the
person may be in is open. Windows begin and end on quarters of an hour, and so do all offsets in use from UTC: between
two quarters of UTC nothing opens or closes, in no zone, whatever its clocks do at a change of summer time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from rapport_notification.domain.holidays import NO_HOLIDAYS, WEEKDAYS, HolidayRule

QUARTER: Final = timedelta(minutes=15)
HORIZON: Final = timedelta(days=15)
"""How far ahead an opening is looked for: past the longest row of holidays and Sundays."""

_DAY: Final = 96
_WEEK: Final = 7 * _DAY


@dataclass(frozen=True, slots=True)
class Rule:
    """When it is quiet in a country.

    Attributes:
        week: A bit for each quarter of an hour of a week, from Monday 00:00 on; set where it is quiet.
        holidays: Days that are quiet as a whole.
    """

    week: int
    holidays: HolidayRule = NO_HOLIDAYS

    @classmethod
    def parse(cls, data: Mapping[str, Any], holidays: HolidayRule = NO_HOLIDAYS) -> Rule:
        """Read a rule.

        Args:
            data: Windows in `quiet`, each with days, from and to; `holidays`: whether those are quiet.
            holidays: Of the country.

        Raises:
            ValueError: A window does not read as one, or is not on quarters of an hour.
        """
        week = 0
        for window in data["quiet"]:
            first, last = _quarter(window["from"]), _quarter(window["to"])
            length = last - first if last > first else last + _DAY - first
            for day in window["days"].split():
                begin = WEEKDAYS.index(day) * _DAY + first
                for at in range(begin, begin + length):
                    week |= 1 << at % _WEEK
        return cls(week, holidays if data["holidays"] else NO_HOLIDAYS)

    def is_quiet(self, local: datetime) -> bool:
        """Say whether it is quiet at a local time."""
        at = local.weekday() * _DAY + local.hour * 4 + local.minute // 15
        return bool(self.week >> at & 1) or self.holidays.includes(local.date())

    def quiet_quarters(self, local: datetime) -> int:
        """Return a number of quarters that are surely quiet from a quiet local time on, if clocks do not change.

        At least 1, so that a search always goes on.
        """
        if self.holidays.includes(local.date()):
            return 1
        at = local.weekday() * _DAY + local.hour * 4 + local.minute // 15
        turned = (self.week >> at) | (self.week << (_WEEK - at))
        ones = ~turned & (turned + 1)  # the lowest bit that is not set
        return max(1, min(ones.bit_length() - 1, _WEEK))


@dataclass(frozen=True, slots=True)
class Place:
    """A place where the person may be.

    Attributes:
        zone: Its clocks.
        rule: Its quiet hours.
    """

    zone: ZoneInfo
    rule: Rule


@dataclass(frozen=True, slots=True)
class QuietHours:
    """The rules of all countries.

    Attributes:
        version: Of the data.
        default: For a country without a rule of its own, and where the country is not known.
        countries: By ISO 3166 code.
        zones: The zones of a country, by its code.
        clocks: Finds a zone by its name; raises KeyError where there is none.
    """

    version: str
    default: Rule
    countries: Mapping[str, Rule]
    zones: Mapping[str, tuple[str, ...]]
    clocks: Callable[[str], ZoneInfo]

    @classmethod
    def parse(
        cls,
        hours: Mapping[str, Any],
        holidays: Mapping[str, Any],
        zones: Mapping[str, tuple[str, ...]],
        clocks: Callable[[str], ZoneInfo],
    ) -> QuietHours:
        """Read the data files. A country with holidays alone has the default windows.

        Raises:
            ValueError: They do not read as rules.
        """
        days = {code: HolidayRule.parse(data) for code, data in holidays["countries"].items()}
        own = hours["countries"]
        countries = {
            code: Rule.parse(own.get(code, hours["default"]), days.get(code, NO_HOLIDAYS))
            for code in sorted({*own, *days})
        }
        return cls(f"{hours['version']}+{holidays['version']}", Rule.parse(hours["default"]), countries, zones, clocks)

    def places(self, candidates: Iterable[tuple[str, str]]) -> tuple[Place, ...]:
        """Return where the person may be.

        Args:
            candidates: Zone and country; "" where one is not known. A country without a zone stands for all its zones,
                a zone without a country for each country that has it.

        Raises:
            ValueError: A zone does not exist, or a candidate says neither.
        """
        found = {}
        for zone, country in candidates:
            pairs = [(zone, country)]
            if not zone:
                pairs = [(each, country) for each in self.zones.get(country, ())]
            elif not country:
                pairs = [(zone, each) for each, zones in self.zones.items() if zone in zones] or pairs
            for name, where in pairs:
                found[name, where] = Place(self._zone(name), self.countries.get(where, self.default))
        if not found:
            raise ValueError("nothing is known of where the person is")
        return tuple(found[key] for key in sorted(found))

    def _zone(self, name: str) -> ZoneInfo:
        try:
            return self.clocks(name)
        except KeyError as error:
            raise ValueError("no such zone") from error


def is_open(places: Sequence[Place], at: datetime) -> bool:
    """Say whether a message may be sent: it is quiet in none of the places."""
    return not any(place.rule.is_quiet(at.astimezone(place.zone)) for place in places)


def next_opening(places: Sequence[Place], at: datetime) -> datetime | None:
    """Return when a message may next be sent: `at` itself if now, else the first quarter at which all are open.

    Args:
        places: Where the person may be.
        at: Aware.

    Returns:
        In UTC; None if the places are never open together within the horizon: too many are possible, or a rule is
        always quiet.
    """
    now = at.astimezone(UTC)
    end = now + HORIZON
    while now < end:
        for place in places:
            local = now.astimezone(place.zone)
            if place.rule.is_quiet(local):
                now = _later(now, local, place)
                break
        else:
            return now
    return None


def local_day(zone: ZoneInfo, at: datetime) -> date:
    """Return the day it is in a zone."""
    return at.astimezone(zone).date()


def _later(now: datetime, local: datetime, place: Place) -> datetime:
    """Return a later quarter that is not past the end of the quiet time."""
    start = now - timedelta(minutes=now.minute % 15, seconds=now.second, microseconds=now.microsecond)
    later = start + place.rule.quiet_quarters(local) * QUARTER
    # If the clocks change on the way, wall time and elapsed time differ: go by quarters.
    same = later.astimezone(place.zone).utcoffset() == local.utcoffset()
    return later if same else start + QUARTER


def _quarter(text: str) -> int:
    hour, minute = (int(part) for part in text.split(":"))
    if not (0 <= hour * 60 + minute <= 24 * 60 and 0 <= minute < 60 and minute % 15 == 0):
        raise ValueError("a window begins and ends on quarters of an hour")
    return (hour * 60 + minute) // 15
