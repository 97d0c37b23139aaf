"""When requests are to be answered: known rows of the laws, and an independent calculation on random ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_consent.domain.deadlines import (
    Clock,
    Deadline,
    Pause,
    Span,
    StepCode,
    Unit,
    days_left,
    deadline,
    may_extend,
    received_on,
)

MONTH = Span(1, Unit.CALENDAR_MONTHS, rolls=True)
QUARTER = Span(3, Unit.CALENDAR_MONTHS, rolls=True)
UK = Clock(MONTH, QUARTER, pauses=frozenset({"IDENTITY", "CLARIFICATION", "FEE"}))
EU = Clock(MONTH, QUARTER)


@dataclass(frozen=True)
class Week:
    """Mondays to Fridays but for holidays, and some days that are worked on all the same."""

    holidays: frozenset[date] = frozenset()
    made_up: frozenset[date] = field(default=frozenset())
    name: str = "week"

    def is_working(self, day: date) -> bool:
        return day in self.made_up or (day.weekday() < 5 and day not in self.holidays)


def due(received: date, span: Span, *holidays: date, clock: Clock = EU, pauses: Iterable[Pause] = ()) -> date | None:
    return deadline(received, span, Week(frozenset(holidays)), clock, list(pauses)).due_on


def codes(found: Deadline) -> list[StepCode]:
    return [step.code for step in found.steps]


@pytest.mark.parametrize(
    ("received", "span", "expected"),
    [
        (date(2027, 1, 31), Span(1, Unit.CALENDAR_MONTHS), date(2027, 2, 28)),
        (date(2028, 1, 31), Span(1, Unit.CALENDAR_MONTHS), date(2028, 2, 29)),
        (date(2026, 8, 31), Span(1, Unit.CALENDAR_MONTHS), date(2026, 9, 30)),
        (date(2026, 12, 15), Span(1, Unit.CALENDAR_MONTHS), date(2027, 1, 15)),
        (date(2027, 1, 31), Span(3, Unit.CALENDAR_MONTHS), date(2027, 4, 30)),
        (date(2026, 11, 30), Span(3, Unit.CALENDAR_MONTHS), date(2027, 2, 28)),
        (date(2026, 1, 10), Span(45, Unit.CALENDAR_DAYS), date(2026, 2, 24)),
    ],
)
def test_spans_end_where_the_law_says(received: date, span: Span, expected: date) -> None:
    assert due(received, span) == expected


def test_three_months_are_not_one_month_and_two_more() -> None:
    one_and_two = due(due(date(2027, 1, 31), Span(1, Unit.CALENDAR_MONTHS)) or date.max, Span(2, Unit.CALENDAR_MONTHS))
    assert due(date(2027, 1, 31), Span(3, Unit.CALENDAR_MONTHS)) == date(2027, 4, 30) != one_and_two


def test_an_end_on_a_weekend_or_holiday_moves_to_the_next_working_day_and_says_so() -> None:
    found = deadline(date(2026, 11, 26), MONTH, Week(frozenset({date(2026, 12, 28)})), EU)
    assert found.due_on == date(2026, 12, 29)
    assert codes(found) == [StepCode.RECEIVED, StepCode.COUNTED, StepCode.NOT_WORKED]
    assert found.calendar == "week"


def test_working_days_in_california_over_the_turn_of_the_year() -> None:
    closed = (date(2026, 12, 25), date(2027, 1, 1))
    assert due(date(2026, 12, 18), Span(10, Unit.WORKING_DAYS), *closed) == date(2027, 1, 5)
    assert due(date(2026, 12, 18), Span(15, Unit.WORKING_DAYS), *closed) == date(2027, 1, 12)


def test_a_saturday_that_is_worked_on_counts() -> None:
    plain, made_up = Week(), Week(made_up=frozenset({date(2026, 10, 10)}))
    span = Span(5, Unit.WORKING_DAYS)
    assert deadline(date(2026, 10, 8), span, plain, EU).due_on == date(2026, 10, 15)
    assert deadline(date(2026, 10, 8), span, made_up, EU).due_on == date(2026, 10, 14)


def test_the_british_clock_stands_still_while_the_requester_is_asked_and_the_european_one_does_not() -> None:
    received, asked, came = date(2026, 3, 2), date(2026, 3, 10), date(2026, 3, 20)
    waiting = deadline(received, MONTH, Week(), UK, [Pause("IDENTITY", asked)])
    assert (waiting.due_on, codes(waiting)[-1], days_left(waiting, came)) == (None, StepCode.STOPPED, None)
    answered = deadline(received, MONTH, Week(), UK, [Pause("IDENTITY", asked, came)])
    assert answered.due_on == date(2026, 4, 13)  # 2 April and ten days is a Sunday
    european = deadline(received, MONTH, Week(), EU, [Pause("IDENTITY", asked)])
    assert (european.due_on, StepCode.NOT_PAUSED in codes(european)) == (date(2026, 4, 2), True)


def test_a_pause_that_begins_after_the_time_is_over_saves_nothing() -> None:
    assert due(date(2026, 3, 2), MONTH, clock=UK, pauses=[Pause("FEE", date(2026, 4, 3))]) == date(2026, 4, 2)


@pytest.mark.parametrize(
    "pauses",
    [
        [Pause("FEE", date(2026, 3, 9), date(2026, 3, 8))],
        [Pause("FEE", date(2026, 3, 9), date(2026, 3, 12)), Pause("FEE", date(2026, 3, 11), date(2026, 3, 13))],
        [Pause("FEE", date(2026, 3, 9)), Pause("FEE", date(2026, 3, 11), date(2026, 3, 13))],
    ],
)
def test_pauses_that_contradict_themselves_are_refused(pauses: list[Pause]) -> None:
    with pytest.raises(ValueError, match="follow one another"):
        deadline(date(2026, 3, 2), MONTH, Week(), EU, pauses)


def test_the_time_is_extended_until_its_last_hour_and_not_after() -> None:
    first = deadline(date(2026, 3, 2), MONTH, Week(), EU)
    assert may_extend(EU, first, date(2026, 4, 2))
    assert not may_extend(EU, first, date(2026, 4, 3))
    assert not may_extend(Clock(MONTH), first, date(2026, 3, 3))
    assert may_extend(UK, deadline(date(2026, 3, 2), MONTH, Week(), UK, [Pause("FEE", date(2026, 3, 9))]), date.max)


def test_a_request_is_of_the_day_it_came_on_where_it_came_from_and_in_time_until_the_last_day_ends_there() -> None:
    auckland = ZoneInfo("Pacific/Auckland")
    late = datetime(2026, 6, 30, 13, tzinfo=UTC)
    assert received_on(late, auckland) == date(2026, 7, 1)
    found = deadline(received_on(late, auckland), MONTH, Week(), EU)
    assert found.due_at(auckland) == datetime(2026, 8, 3, 12, tzinfo=UTC)  # 1 August is a Saturday
    assert days_left(found, date(2026, 8, 4)) == -1
    with pytest.raises(ValueError, match="zone"):
        received_on(datetime(2026, 6, 30, 13), auckland)  # noqa: DTZ001 - that is what is refused


days = st.dates(date(2026, 1, 1), date(2028, 12, 31))
spans = st.builds(Span, st.integers(1, 60), st.sampled_from(Unit), st.booleans())


def walked(received: date, span: Span, week: Week, lengths: list[tuple[int, int]]) -> date:
    """The same, day by day: the last day on which not yet too much has been counted."""
    if span.unit is Unit.CALENDAR_MONTHS:
        wanted = (received.year * 12 + received.month - 1 + span.count, received.day)
        day = received
        while (after := day + timedelta(days=1)) > day and (after.year * 12 + after.month - 1, after.day) <= wanted:
            day = after
    else:
        counts = (lambda each: True) if span.unit is Unit.CALENDAR_DAYS else week.is_working
        later = (received + timedelta(days=each) for each in itertools.count(1))
        day = next(itertools.islice((each for each in later if counts(each)), span.count - 1, None))
    for _, length in lengths:
        day += timedelta(days=length)
    while span.rolls and not week.is_working(day):
        day += timedelta(days=1)
    return day


@given(
    days, spans, st.frozensets(days, max_size=60), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=4)
)
def test_random_deadlines_are_those_of_an_independent_calculation(
    received: date, span: Span, holidays: frozenset[date], lengths: list[tuple[int, int]]
) -> None:
    week = Week(holidays)
    pauses, begin = [], received
    for gap, length in lengths:  # one after the other, none begun after the time that is left without it
        begin += timedelta(days=gap)
        pauses.append(Pause("FEE", begin, begin + timedelta(days=length)))
        begin += timedelta(days=length)
    first = deadline(received, Span(span.count, span.unit), week, UK).due_on
    assert first is not None
    if begin > first:
        return
    assert deadline(received, span, week, UK, pauses).due_on == walked(received, span, week, lengths)
