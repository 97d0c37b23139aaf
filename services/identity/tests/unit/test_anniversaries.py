"""Rounds come once a year, on a day that has begun wherever the person may be, and never before."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_identity.adapters.zones import zones_of
from rapport_identity.domain.anniversaries import (
    CATCH_UP,
    OPEN,
    agreed,
    begins,
    come_round,
    days,
    falls_on,
    window,
)

NAMES = ("UTC", "Europe/London", "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/St_Johns", "Australia/Lord_Howe")
origins = st.dates(date(1900, 1, 1), date(2020, 12, 31))
instants = st.datetimes(datetime(2024, 1, 1), datetime(2032, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
zones = st.lists(st.sampled_from(NAMES).map(ZoneInfo), max_size=3).map(tuple)


@given(origins, zones, instants, st.randoms(use_true_random=True), st.sampled_from((24, 240, 2400)))
def test_however_time_is_cut_each_round_comes_in_exactly_one_piece(
    origin: date, places: tuple[tzinfo, ...], start: datetime, cut: Random, longest: int
) -> None:
    end = start + timedelta(days=800)
    came, at = [], start
    while at < end:
        until = min(at + timedelta(hours=cut.randint(1, longest)), end)
        if (year := come_round(origin, places, at, until)) is not None:
            came.append(year)
        at = until
    expected = [
        year for year in range(start.year - 1, end.year + 2) if start < begins(falls_on(origin, year), places) <= end
    ]
    assert came == expected
    assert len(came) in (2, 3)


@given(origins, zones, instants, st.integers(1, 240))
def test_whose_round_begins_is_among_those_looked_at(
    origin: date, places: tuple[tzinfo, ...], until: datetime, hours: int
) -> None:
    since = until - timedelta(hours=hours)
    if come_round(origin, places, since, until) is not None:
        assert f"{origin:%m-%d}" in days(since, until)
    assert len(days(since, until)) <= hours / 24 + 6


@given(origins, zones, st.integers(2024, 2032))
def test_nobody_is_congratulated_before_the_day_has_begun_everywhere(
    origin: date, places: tuple[tzinfo, ...], year: int
) -> None:
    moment = begins(falls_on(origin, year), places)
    for zone in places or (UTC,):
        there = moment.astimezone(zone).date()
        assert (there.month, there.day) >= (origin.month, origin.day) or there.year > year
    assert come_round(origin, places, moment - timedelta(seconds=1), moment) == year
    assert come_round(origin, places, moment, moment + timedelta(days=300)) is None


def test_29_february_comes_on_the_day_after_the_28th_where_there_is_none() -> None:
    assert falls_on(date(2000, 2, 29), 2027) == date(2027, 3, 1)
    assert falls_on(date(2000, 2, 29), 2028) == date(2028, 2, 29)
    assert falls_on(date(2000, 3, 1), 2027) == date(2027, 3, 1)


def test_the_day_itself_is_no_round() -> None:
    born = date(2026, 5, 4)
    assert come_round(born, (), datetime(2026, 5, 3, 12, tzinfo=UTC), datetime(2026, 5, 4, 12, tzinfo=UTC)) is None
    assert come_round(born, (), datetime(2027, 5, 3, 12, tzinfo=UTC), datetime(2027, 5, 4, 12, tzinfo=UTC)) == 2027


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (("1980-05-04", None, "1980-05-04"), date(1980, 5, 4)),
        (("1980-05-04", "1980-04-05"), None),
        ((None,), None),
        ((), None),
        (("1981-02-29",), None),
        (("0000-01-01",), None),
        (("1900-01-01",), None),
    ],
)
def test_a_date_is_known_where_no_record_contradicts_it(said: tuple[str | None, ...], expected: date | None) -> None:
    assert agreed(said) == expected


@given(instants, st.integers(-100, 400))
def test_missed_days_count_for_a_week_and_the_present_one_always(now: datetime, hours: int) -> None:
    looked = now - timedelta(hours=hours)
    since = window(looked, now)
    assert now - CATCH_UP <= since <= now - OPEN
    assert since <= looked or looked <= now - CATCH_UP or looked > now - OPEN


def test_zones_are_those_that_are_named_else_those_of_the_market_else_none() -> None:
    assert zones_of(["Europe/Oslo", "No/Such"], ["GB"]) == (ZoneInfo("Europe/Oslo"),)
    assert zones_of([], ["GB"]) == (ZoneInfo("Europe/London"),)
    assert ZoneInfo("Pacific/Honolulu") in zones_of([], ["US-CA"])
    assert zones_of(["../../etc/passwd"], ["XX", ""]) == ()
