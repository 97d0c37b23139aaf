"""When a privacy request is to be answered, told step by step so that an officer can check every one.

The day on which a request is received is not counted; it is answered in time until the last day ends where the request
came from. Lengths, pauses and extensions are a rule pack's; working days are a calendar's.
"""

from __future__ import annotations

import calendar as months
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Protocol
from zoneinfo import ZoneInfo


class Calendar(Protocol):
    """Which days are worked on, in one jurisdiction."""

    @property
    def name(self) -> str:
        """What it is and of which release: the same name answers the same for ever."""
        ...

    def is_working(self, day: date) -> bool:
        """Whether a day is worked on."""
        ...


class Unit(StrEnum):
    """What a span counts."""

    CALENDAR_MONTHS = "calendar_months"
    CALENDAR_DAYS = "calendar_days"
    WORKING_DAYS = "working_days"


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time in law.

    Attributes:
        count: How many.
        unit: Of what.
        rolls: Whether an end that is no working day moves to the next one.
    """

    count: int
    unit: Unit
    rolls: bool = False


@dataclass(frozen=True, slots=True)
class Clock:
    """What a law says of the time for one right.

    Attributes:
        answer: Until when to answer.
        extended: Until when at most, counted from the receipt too; None where the time cannot be extended.
        acknowledge: Until when to confirm that the request came; None for no such duty.
        pauses: Causes for which the clock stands still.
    """

    answer: Span
    extended: Span | None = None
    acknowledge: Span | None = None
    pauses: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Pause:
    """A time in which something was awaited from the requester.

    Attributes:
        cause: What, as a code, for example "IDENTITY".
        since: From which day.
        until: The day on which it came; None while it is awaited.
    """

    cause: str
    since: date
    until: date | None = None


class StepCode(StrEnum):
    """What a step of a deadline does."""

    RECEIVED = "RECEIVED"
    COUNTED = "COUNTED"
    SHORTER_MONTH = "SHORTER_MONTH"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"
    NOT_PAUSED = "NOT_PAUSED"
    NOT_WORKED = "NOT_WORKED"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a deadline.

    Attributes:
        code: What it does.
        day: Where it leads.
        count: How many units or days it moved on, where it did.
        unit: Of what.
        cause: Why, where that is a code of its own.
    """

    code: StepCode
    day: date
    count: int = 0
    unit: Unit | None = None
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A deadline with how it came about.

    Attributes:
        due_on: The last day in time; None while the clock stands still.
        steps: How it was reached.
        calendar: Whose working days were counted.
    """

    due_on: date | None
    steps: tuple[Step, ...]
    calendar: str

    def due_at(self, zone: ZoneInfo) -> datetime | None:
        """Return the instant at which the last day in time has ended."""
        if self.due_on is None:
            return None
        return datetime.combine(self.due_on + timedelta(days=1), time(), zone)


def received_on(received_at: datetime, zone: ZoneInfo) -> date:
    """Return the day of a receipt, where the request came from.

    Raises:
        ValueError: The time says nothing of its zone.
    """
    if received_at.tzinfo is None:
        raise ValueError("a time without a zone is on no day in particular")
    return received_at.astimezone(zone).date()


def deadline(received: date, span: Span, calendar: Calendar, clock: Clock, pauses: Sequence[Pause] = ()) -> Deadline:
    """Return until when something is to be done.

    Args:
        received: The day of the receipt.
        span: How long it may take.
        calendar: The working days.
        clock: Says which causes stop it.
        pauses: What was awaited, in the order in which it began.

    Raises:
        ValueError: Pauses overlap, or one ends before it begins.
    """
    steps = [Step(StepCode.RECEIVED, received)]
    due = _counted(received, span, calendar, steps)
    ended: date | None = None
    for pause in pauses:
        if (ended is not None and pause.since < ended) or (pause.until is not None and pause.until < pause.since):
            raise ValueError("pauses must follow one another, each with its beginning first")
        ended = pause.until if pause.until is not None else date.max
        if pause.cause not in clock.pauses:
            steps.append(Step(StepCode.NOT_PAUSED, due, cause=pause.cause))
        elif pause.since > due:
            continue  # it began after the time was over
        elif pause.until is None:
            steps.append(Step(StepCode.STOPPED, pause.since, cause=pause.cause))
            return Deadline(None, tuple(steps), calendar.name)
        else:
            days = (pause.until - pause.since).days
            due += timedelta(days=days)
            steps.append(Step(StepCode.PAUSED, due, days, Unit.CALENDAR_DAYS, pause.cause))
    if span.rolls:
        due = _rolled(due, calendar, steps)
    return Deadline(due, tuple(steps), calendar.name)


def may_extend(clock: Clock, answer: Deadline, told_on: date) -> bool:
    """Whether the time may be extended by a notice sent on this day: only within the time it extends."""
    return clock.extended is not None and (answer.due_on is None or told_on <= answer.due_on)


def days_left(due: Deadline, today: date) -> int | None:
    """Return the days until a deadline, negative once it has passed; None while the clock stands still."""
    return None if due.due_on is None else (due.due_on - today).days


def _counted(start: date, span: Span, calendar: Calendar, steps: list[Step]) -> date:
    if span.unit is Unit.CALENDAR_MONTHS:
        found = _months_after(start, span.count)
        if found.day != start.day:
            steps.append(Step(StepCode.SHORTER_MONTH, found, span.count, span.unit))
            return found
    elif span.unit is Unit.CALENDAR_DAYS:
        found = start + timedelta(days=span.count)
    else:
        found, left = start, span.count
        while left:
            found += timedelta(days=1)
            left -= calendar.is_working(found)
    steps.append(Step(StepCode.COUNTED, found, span.count, span.unit))
    return found


def _months_after(start: date, count: int) -> date:
    """Return the day of the same number, else the last of the month: Regulation (EEC) 1182/71, article 3(2)(c)."""
    year, month = divmod(start.month - 1 + count, 12)
    year, month = start.year + year, month + 1
    return date(year, month, min(start.day, months.monthrange(year, month)[1]))


def _rolled(due: date, calendar: Calendar, steps: list[Step]) -> date:
    moved = due
    while not calendar.is_working(moved):
        moved += timedelta(days=1)
    if moved != due:
        steps.append(Step(StepCode.NOT_WORKED, moved, (moved - due).days, Unit.CALENDAR_DAYS))
    return moved
