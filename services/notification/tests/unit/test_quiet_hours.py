"""Quiet hours against a second implementation: the C library's clocks, and intervals of minutes instead of bits."""

import calendar
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_notification.domain.holidays import HolidayRule, easter
from rapport_notification.domain.quiet_hours import Place, QuietHours, Rule, is_open, next_opening
from rapport_notification.reference import load_quiet_hours, zones_of_countries
from rapport_testing.prove import Scale

DATA = Path(str(files("rapport_notification").joinpath("data")))
HOURS = json.loads((DATA / "quiet_hours.json").read_text())
HOLIDAYS = json.loads((DATA / "holidays.json").read_text())["countries"]
EASTER = {2025: (4, 20), 2026: (4, 5), 2027: (3, 28), 2028: (4, 16)}
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
YEAR = 2027
QUARTERS = 365 * 96


@contextmanager
def clocks_of(zone: str) -> Iterator[None]:
    """Let the C library keep the time of a zone."""
    earlier = {name: os.environ.get(name) for name in ("TZ", "TZDIR")}
    os.environ.update(TZ=zone, TZDIR=str(files("tzdata").joinpath("zoneinfo")))
    time.tzset()
    try:
        yield
    finally:
        for name, value in earlier.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        time.tzset()


class Second:
    """Quiet hours of one country, written again: minutes of a day, and a calendar for holidays."""

    def __init__(self, country: str) -> None:
        self.rule = HOURS["countries"].get(country, HOURS["default"])
        self.days: set[tuple[int, int, int]] = set()
        for year in (YEAR - 1, YEAR, YEAR + 1) if self.rule["holidays"] else ():
            self.days |= set(self.holidays(HOLIDAYS.get(country, {}), year))
        self.tonight: dict[int, list[tuple[int, int]]] = {day: [] for day in range(7)}
        self.morning: dict[int, int] = dict.fromkeys(range(7), 0)
        for window in self.rule["quiet"]:
            start, end = (int(text[:2]) * 60 + int(text[3:]) for text in (window["from"], window["to"]))
            for name in window["days"].split():
                day = DAYS.index(name)
                self.tonight[day].append((start, end if end > start else 1440))
                if end <= start:
                    self.morning[(day + 1) % 7] = max(self.morning[(day + 1) % 7], end)

    def holidays(self, data: dict, year: int) -> Iterator[tuple[int, int, int]]:
        for text in data.get("fixed", []):
            yield year, int(text[:2]), int(text[3:])
        for shift in data.get("easter", []):
            there = time.gmtime(calendar.timegm((year, *EASTER[year], 0, 0, 0)) + shift * 86400)
            yield there.tm_year, there.tm_mon, there.tm_mday
        for which in data.get("nth", []):
            column = [week[DAYS.index(which["weekday"])] for week in calendar.monthcalendar(year, which["month"])]
            of_month = [day for day in column if day]
            yield year, which["month"], of_month[which["n"] - 1 if which["n"] > 0 else which["n"]]

    def quiet(self, local: time.struct_time) -> bool:
        minute = local.tm_hour * 60 + local.tm_min
        if (local.tm_year, local.tm_mon, local.tm_mday) in self.days or minute < self.morning[local.tm_wday]:
            return True
        return any(start <= minute < end for start, end in self.tonight[local.tm_wday])


def test_no_quarter_of_a_year_is_open_that_a_second_implementation_calls_quiet_in_any_zone(scale: Scale, prove) -> None:
    hours = load_quiet_hours()
    pairs = sorted((zone, country) for country, zones in zones_of_countries().items() for zone in zones)
    # At small scale every zone gets a piece of the year of its own; together the pieces cover it.
    share = scale.pick(small=128, full=1)
    start = calendar.timegm((YEAR, 1, 1, 0, 0, 0))
    compared = 0
    for number, (zone, country) in enumerate(pairs):
        second, place = Second(country), hours.places([(zone, country)])
        piece = QUARTERS // share
        first = number * piece % QUARTERS
        with clocks_of(zone):
            for quarter in range(first, min(first + piece, QUARTERS)):
                at = start + quarter * 900
                expected = second.quiet(time.localtime(at))
                assert is_open(place, datetime.fromtimestamp(at, UTC)) is not expected, (zone, at)
                compared += 1
    prove("notification", quiet_hours_zones=len(pairs), quiet_hours_compared=compared)


@pytest.mark.parametrize(
    ("zone", "country"),
    [("Australia/Lord_Howe", "AU"), ("Asia/Kathmandu", "NP"), ("Pacific/Apia", "WS"), ("Africa/Casablanca", "MA")],
)
def test_every_quarter_agrees_where_clocks_are_odd(zone: str, country: str) -> None:
    second, place = Second(country), load_quiet_hours().places([(zone, country)])
    start = calendar.timegm((YEAR, 1, 1, 0, 0, 0))
    with clocks_of(zone):
        for quarter in range(0, QUARTERS, 3):
            at = start + quarter * 900
            assert is_open(place, datetime.fromtimestamp(at, UTC)) is not second.quiet(time.localtime(at))


@given(
    st.lists(st.sampled_from(sorted({zone for zones in zones_of_countries().values() for zone in zones})), max_size=4),
    st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_the_next_opening_is_the_first_quarter_at_which_all_places_are_open(zones: list[str], at: datetime) -> None:
    places = load_quiet_hours().places([("Europe/Berlin", "DE"), *((zone, "") for zone in zones)])
    found = next_opening(places, at)
    now, end = at, at + timedelta(days=15)
    while now < end and not is_open(places, now):
        now = now - timedelta(minutes=now.minute % 15, seconds=now.second, microseconds=now.microsecond)
        now += timedelta(minutes=15)
    assert found == (now if now < end else None)


def rule(start: str, end: str, days: str = "mon tue wed thu fri sat sun") -> Rule:
    return Rule.parse({"quiet": [{"days": days, "from": start, "to": end}], "holidays": False})


def test_a_window_past_midnight_belongs_to_the_day_it_starts_on() -> None:
    night = rule("22:00", "06:00", "fri")
    assert night.is_quiet(datetime(2026, 11, 20, 22, 0))  # noqa: DTZ001 - local times
    assert night.is_quiet(datetime(2026, 11, 21, 5, 59))  # noqa: DTZ001
    assert not night.is_quiet(datetime(2026, 11, 21, 6, 0))  # noqa: DTZ001
    assert not night.is_quiet(datetime(2026, 11, 20, 5, 0))  # noqa: DTZ001


def test_a_window_that_ends_where_it_starts_is_a_whole_day() -> None:
    places = [Place(ZoneInfo("Europe/Paris"), rule("08:00", "08:00"))]
    assert next_opening(places, datetime(2026, 11, 20, 12, 0, tzinfo=UTC)) is None
    assert rule("00:00", "24:00", "sun").week.bit_count() == 96


@pytest.mark.parametrize("text", ["08:10", "24:15", "-1:00", "8", "xx:yy"])
def test_a_window_that_is_not_on_quarters_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"quarters|unpack|literal"):
        rule(text, "09:00")


def test_in_the_gap_of_spring_quiet_ends_when_the_clocks_jump() -> None:
    places = [Place(ZoneInfo("Europe/Paris"), rule("22:00", "02:30"))]
    night = datetime(2027, 3, 28, 0, 45, tzinfo=UTC)  # 01:45; at 01:00 UTC it turns 03:00
    assert next_opening(places, night) == datetime(2027, 3, 28, 1, 0, tzinfo=UTC)


def test_in_the_overlap_of_autumn_both_hours_are_quiet() -> None:
    places = [Place(ZoneInfo("Europe/Paris"), rule("02:00", "03:00"))]
    first, second = datetime(2027, 10, 31, 0, 30, tzinfo=UTC), datetime(2027, 10, 31, 1, 30, tzinfo=UTC)
    assert not is_open(places, first)
    assert not is_open(places, second)
    assert next_opening(places, first) == datetime(2027, 10, 31, 2, 0, tzinfo=UTC)


def test_a_country_without_a_zone_stands_for_all_its_zones() -> None:
    hours = load_quiet_hours()
    places = hours.places([("", "US")])
    assert len(places) == 29
    noon_in_new_york = datetime(2026, 6, 3, 16, 0, tzinfo=UTC)
    assert not is_open(places, noon_in_new_york)  # 06:00 in Honolulu
    assert next_opening(places, noon_in_new_york) == datetime(2026, 6, 3, 18, 0, tzinfo=UTC)


def test_a_zone_without_a_country_keeps_the_rules_of_the_country_that_has_it() -> None:
    half_past_eight_in_sydney = datetime(2026, 6, 2, 22, 30, tzinfo=UTC)
    hours = load_quiet_hours()
    assert not is_open(hours.places([("Australia/Sydney", "")]), half_past_eight_in_sydney)
    assert hours.places([("Australia/Sydney", "")]) == hours.places([("Australia/Sydney", "AU")])
    assert hours.places([("Etc/UTC", "")])[0].rule == hours.default


def test_a_person_of_whom_no_place_is_known_is_refused() -> None:
    for candidates in ([], [("", "")], [("", "QQ")], [("Mars/Olympus", "")]):
        with pytest.raises(ValueError, match=r"nothing is known|no such zone"):
            load_quiet_hours().places(candidates)


def test_easter_of_two_centuries_is_a_sunday_in_its_season_and_right_where_known() -> None:
    for year in range(1900, 2100):
        assert easter(year).weekday() == 6
        assert date(year, 3, 22) <= easter(year) <= date(year, 4, 25)
    assert {year: (easter(year).month, easter(year).day) for year in EASTER} == EASTER


def test_last_and_first_weekdays_of_a_month_are_told() -> None:
    bank = HolidayRule(nth=frozenset({(5, 0, 1), (5, 0, -1)}))
    found = [day for day in range(1, 32) if bank.includes(date(2027, 5, day))]
    assert found == [3, 31]


def test_each_rule_names_its_source_and_when_it_was_looked_at() -> None:
    for rule_data in (HOURS["default"], *HOURS["countries"].values()):
        assert rule_data["source"]
        assert rule_data["kind"]
        date.fromisoformat(rule_data["checked"])
    assert all(each["source"] for each in HOLIDAYS.values())
    assert isinstance(load_quiet_hours(), QuietHours)
