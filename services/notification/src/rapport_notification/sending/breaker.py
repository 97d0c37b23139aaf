"""Leaves alone what does not work, and tries it now and then: one state machine for endpoints and for providers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

SLOWEST_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When something counts as broken.

    Attributes:
        in_a_row: So many failures one after the other,
        window: or of so many attempts
        failures: so many failures.
        trial: So many attempts in a row, one at a time, have to work before it is trusted again.
        under_way: So many attempts at most at once: what stalls answers nothing, and gets no more.
        stalled_s: An attempt that takes longer is a failure already.
        pause_s: How long it is left alone; twice as long each time the attempt after it fails.
    """

    in_a_row: int = 5
    window: int = 20
    failures: int = 4
    trial: int = 5
    under_way: int = 32
    stalled_s: float = 15.0
    pause_s: float = 30.0


class Breaker:
    """Watches one endpoint or provider. Times are seconds of one clock that never goes back."""

    def __init__(self, settings: BreakerSettings) -> None:
        """Start with trust."""
        self._settings = settings
        self._recent: deque[bool] = deque(maxlen=settings.window)
        self._row = 0
        self._open_until: float | None = None
        self._pause_s = settings.pause_s
        self._passed = 0
        self._begun: dict[int, float] = {}
        self._stalled: set[int] = set()
        self._next = 0

    def ready(self, now: float) -> bool:
        """Say whether an attempt may begin; after a pause, one at a time."""
        self._count_stalled(now)
        if self._open_until is not None:
            return now >= self._open_until and not (self._begun.keys() - self._stalled)
        return len(self._begun) < self._settings.under_way

    def begin(self, now: float) -> int:
        """Begin an attempt and return its number."""
        self._next += 1
        self._begun[self._next] = now
        return self._next

    def end(self, number: int, now: float, *, worked: bool) -> None:
        """End an attempt. One that had counted as stalled is not counted again, unless it worked after all."""
        self._begun.pop(number, None)
        known = number in self._stalled
        self._stalled.discard(number)
        if worked or not known:
            self._count(now, worked=worked)

    def is_open(self, now: float) -> bool:
        """Say whether it is left alone."""
        self._count_stalled(now)
        return self._open_until is not None

    def _count_stalled(self, now: float) -> None:
        for number, begun in self._begun.items():
            if number not in self._stalled and now - begun > self._settings.stalled_s:
                self._stalled.add(number)
                self._count(now, worked=False)

    def _count(self, now: float, *, worked: bool) -> None:
        if self._open_until is not None:
            # What was under way when it opened says nothing new; what began after the pause does.
            if now < self._open_until:
                return
            self._passed = self._passed + 1 if worked else 0
            if not worked:
                self._pause_s = min(self._pause_s * 2, SLOWEST_S)
                self._open_until = now + self._pause_s
            elif self._passed == self._settings.trial:
                self._open_until, self._pause_s = None, self._settings.pause_s
                self._recent.clear()
                self._row = self._passed = 0
            return
        self._recent.append(worked)
        self._row = 0 if worked else self._row + 1
        if self._row >= self._settings.in_a_row or self._recent.count(False) >= self._settings.failures:
            self._open_until = now + self._pause_s
