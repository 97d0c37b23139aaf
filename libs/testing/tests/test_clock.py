from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_chassis.clock import Clock
from rapport_testing.clock import TestClock
from rapport_testing.waiting import eventually


def test_it_is_a_clock_of_the_chassis(test_clock: TestClock) -> None:
    clock: Clock = test_clock
    assert isinstance(clock, Clock)
    assert clock.now().tzinfo is UTC


def test_both_times_stand_still_until_advanced(test_clock: TestClock) -> None:
    now, boottime = test_clock.now(), test_clock.boottime()
    assert (test_clock.now(), test_clock.boottime()) == (now, boottime)
    test_clock.advance(2.5)
    assert test_clock.now() == now + timedelta(seconds=2.5)
    assert test_clock.boottime() == boottime + 2.5


def test_setting_the_time_is_no_passing_of_time(test_clock: TestClock) -> None:
    boottime = test_clock.boottime()
    test_clock.set(datetime(2020, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))
    assert test_clock.now() == datetime(2020, 1, 1, tzinfo=UTC)
    assert test_clock.boottime() == boottime


async def test_a_sleeper_wakes_when_its_time_has_come_and_not_before(test_clock: TestClock) -> None:
    sleeping = asyncio.ensure_future(test_clock.sleep(10))
    await eventually(lambda: test_clock.sleepers == 1)
    test_clock.advance(9.9)
    await asyncio.sleep(0)
    assert not sleeping.done()
    test_clock.advance(0.1)
    await sleeping
    assert test_clock.sleepers == 0


@given(st.lists(st.integers(min_value=0, max_value=20), min_size=1, max_size=10))
def test_sleepers_wake_in_the_order_of_their_times(seconds: list[int]) -> None:
    async def run() -> list[int]:
        clock = TestClock()
        woken: list[int] = []

        async def sleep(duration: int) -> None:
            await clock.sleep(duration)
            woken.append(duration)

        async with asyncio.TaskGroup() as group:
            for duration in seconds:
                group.create_task(sleep(duration))
            await eventually(lambda: len(woken) + clock.sleepers == len(seconds), interval_s=0)
            clock.advance(20)
        return woken

    assert asyncio.run(run()) == sorted(seconds)


async def test_a_cancelled_sleeper_is_forgotten(test_clock: TestClock) -> None:
    sleeping = asyncio.ensure_future(test_clock.sleep(1))
    await eventually(lambda: test_clock.sleepers == 1)
    sleeping.cancel()
    await asyncio.wait([sleeping])
    assert test_clock.sleepers == 0
    test_clock.advance(1)


def test_time_without_a_zone_and_time_running_back_are_refused(test_clock: TestClock) -> None:
    with pytest.raises(ValueError, match="without a zone"):
        test_clock.set(datetime(2020, 1, 1))  # noqa: DTZ001 - what is refused
    with pytest.raises(ValueError, match="advances"):
        test_clock.advance(-1)
