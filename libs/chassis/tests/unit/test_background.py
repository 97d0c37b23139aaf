"""Work that waits: not while it is quiet, and not for ever."""

from __future__ import annotations

from rapport_chassis.background import Unhurried
from rapport_testing.clock import TestClock


async def test_a_step_waits_while_something_more_urgent_goes_on_but_not_for_ever(test_clock: TestClock) -> None:
    quiet, taken = False, 0

    async def step() -> bool:
        nonlocal taken
        taken += 1
        return True

    unhurried = Unhurried(step, lambda: quiet, test_clock, at_least_every_s=10)
    assert await unhurried()
    assert not await unhurried()
    test_clock.advance(9.9)
    assert not await unhurried()
    test_clock.advance(0.2)
    assert await unhurried()
    assert not await unhurried()
    quiet = True
    assert await unhurried()
    assert await unhurried()
    assert taken == 4
