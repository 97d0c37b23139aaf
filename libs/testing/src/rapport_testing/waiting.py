"""Waiting for a condition, never for a length of time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(
    predicate: Callable[[], Awaitable[T | None]], timeout_s: float = 10.0, interval_s: float = 0.02, message: str = ""
) -> T: ...
@overload
async def eventually(
    predicate: Callable[[], T | None], timeout_s: float = 10.0, interval_s: float = 0.02, message: str = ""
) -> T: ...
async def eventually(
    predicate: Callable[[], Any], timeout_s: float = 10.0, interval_s: float = 0.02, message: str = ""
) -> Any:
    """Return the first true value of `predicate`, which may be a plain or an async function.

    An AssertionError of the predicate counts as not yet true, so that several expectations may be stated as asserts;
    any other exception ends the wait.

    Raises:
        AssertionError: It was not true within `timeout_s` seconds; the text holds the last value or failed assert.
    """
    attempt = _Attempt(predicate, timeout_s, message)
    while True:
        try:
            outcome = predicate()
            value = await outcome if inspect.isawaitable(outcome) else outcome
        except AssertionError as error:
            attempt.missed(error)
        else:
            if value:
                return value
            attempt.missed(value)
        await asyncio.sleep(interval_s)


def eventually_sync(
    predicate: Callable[[], T | None], timeout_s: float = 10.0, interval_s: float = 0.02, message: str = ""
) -> T:
    """Return the first true value of `predicate`; the same as `eventually` where no event loop runs."""
    attempt = _Attempt(predicate, timeout_s, message)
    while True:
        try:
            value = predicate()
        except AssertionError as error:
            attempt.missed(error)
        else:
            if value:
                return value
            attempt.missed(value)
        time.sleep(interval_s)


def becomes_true(predicate: Callable[[], bool], timeout_s: float, interval_s: float = 0.01) -> bool:
    """Say whether `predicate` turned true within `timeout_s` seconds; for programs, which do not assert."""
    deadline = time.monotonic() + timeout_s
    while not predicate():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval_s)
    return True


class _Attempt:
    """Keeps the deadline of one wait and words its failure."""

    def __init__(self, predicate: Callable[..., object], timeout_s: float, message: str) -> None:
        self._what = message or getattr(predicate, "__qualname__", repr(predicate))
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s

    def missed(self, last: object) -> None:
        """Raise if the time is up."""
        if time.monotonic() < self._deadline:
            return
        if isinstance(last, AssertionError):
            raise AssertionError(f"not true within {self._timeout_s} s: {self._what}: {last}") from last
        raise AssertionError(f"not true within {self._timeout_s} s: {self._what}: the last value was {last!r}")
