from __future__ import annotations

import pytest
from rapport_testing.waiting import becomes_true, eventually, eventually_sync


def test_it_returns_the_first_true_value() -> None:
    values = iter([0, "", 7, 8])
    assert eventually_sync(lambda: next(values), interval_s=0) == 7


async def test_it_takes_plain_and_async_predicates() -> None:
    values = iter([None, "plain"])
    assert await eventually(lambda: next(values), interval_s=0) == "plain"
    more = iter([None, "async"])

    async def predicate() -> str | None:
        return next(more)

    assert await eventually(predicate, interval_s=0) == "async"


async def test_a_failure_names_the_condition_and_the_last_value() -> None:
    with pytest.raises(AssertionError, match=r"not true within 0\.01 s: rows arrive: the last value was 0"):
        eventually_sync(lambda: 0, timeout_s=0.01, interval_s=0, message="rows arrive")
    with pytest.raises(AssertionError, match="<lambda>: the last value was None"):
        await eventually(lambda: None, timeout_s=0.01, interval_s=0)


async def test_a_failed_assert_means_not_yet_and_is_told_in_the_end() -> None:
    seen: list[int] = []

    def predicate() -> bool:
        seen.append(len(seen))
        assert len(seen) > 2, f"only {len(seen)}"
        return True

    assert await eventually(predicate, interval_s=0)

    def never() -> bool:
        raise AssertionError("three of five")

    with pytest.raises(AssertionError, match="three of five"):
        eventually_sync(never, timeout_s=0.01, interval_s=0)


async def test_any_other_error_ends_the_wait() -> None:
    def broken() -> bool:
        raise LookupError

    with pytest.raises(LookupError):
        await eventually(broken)
    with pytest.raises(LookupError):
        eventually_sync(broken)


def test_programs_are_told_no_instead() -> None:
    assert becomes_true(lambda: True, 0.0)
    assert not becomes_true(lambda: False, 0.01, 0.001)
