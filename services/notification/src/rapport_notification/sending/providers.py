"""Several providers of one channel: which one takes the next message, how fast, and which is left alone.

The pool only chooses. Whether a message may be tried at a second provider at all is the ledger's to say: it is after a
certain refusal, and never while the first attempt's outcome is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from rapport_notification.domain.resolution import Capability
from rapport_notification.sending.breaker import Breaker, BreakerSettings
from rapport_notification.sending.outcome import Handed, Outcome

BACK_OFF_S: Final = (1.0, 5.0, 30.0, 120.0, 600.0, 3600.0)
"""How long a message that was refused for now waits, by attempt; drawn between half and all of it."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider.

    Attributes:
        name: What the installation calls it.
        capability: What it can do about a send in doubt.
        rate_per_s: How many it takes in a second.
        burst: How many at once.
        weight: Its share, where several are healthy.
        breaker: When it counts as broken.
        many: It stands for many peers, of which one says nothing of the others: it is never left alone as a whole.
    """

    name: str
    capability: Capability
    rate_per_s: float = 50.0
    burst: float = 50.0
    weight: float = 1.0
    breaker: BreakerSettings = BreakerSettings()  # noqa: RUF009 - frozen
    many: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt under way: what `ended` needs to know."""

    provider: str
    number: int


class _Kept:
    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.breaker = Breaker(provider.breaker)
        self.tokens = provider.burst
        self.filled = 0.0
        self.closed_until = 0.0
        self.given = 0.0

    def wait_s(self, now: float) -> float:
        """Return how long until it takes one more."""
        self.tokens = min(self.provider.burst, self.tokens + (now - self.filled) * self.provider.rate_per_s)
        self.filled = max(self.filled, now)
        bucket = 0.0 if self.tokens >= 1 else (1 - self.tokens) / self.provider.rate_per_s
        return max(bucket, self.closed_until - now)


class ProviderPool:
    """Chooses among providers."""

    def __init__(self, providers: Sequence[Provider], now: float) -> None:
        """Start with trust in all.

        Args:
            providers: Of one channel.
            now: Seconds of a clock that never goes back, as in every other call.
        """
        self._kept = {each.name: _Kept(each) for each in providers}
        for each in self._kept.values():
            each.filled = now

    def capability(self, name: str) -> Capability:
        """Return what a provider can do about a send in doubt."""
        return self._kept[name].provider.capability

    def begin(self, now: float, *, only: str = "", without: Collection[str] = ()) -> Attempt | None:
        """Choose a provider for an attempt that begins now.

        Args:
            now: The time.
            only: The one provider that may take it: a repeat goes where the attempt in doubt went.
            without: Those that have refused it.

        Returns:
            None if none takes one now: see `wait_s`.
        """
        offered = [
            each
            for name, each in self._kept.items()
            if name not in without and (not only or name == only)
            if (each.provider.many or each.breaker.ready(now)) and each.wait_s(now) <= 0
        ]
        if not offered:
            return None
        chosen = min(offered, key=lambda each: ((each.given + 1) / each.provider.weight, each.provider.name))
        # Shares are of late messages: one that was left alone does not get all it missed.
        chosen.given += 1
        least = min(each.given for each in self._kept.values())
        if least > 1000:
            for each in self._kept.values():
                each.given -= least
        chosen.tokens -= 1
        return Attempt(chosen.provider.name, 0 if chosen.provider.many else chosen.breaker.begin(now))

    def ended(self, attempt: Attempt, outcome: Outcome, now: float) -> None:
        """Record what came of an attempt. A provider that says when to come again is not asked before."""
        kept = self._kept[attempt.provider]
        if kept.provider.many:
            return
        kept.breaker.end(attempt.number, now, worked=outcome.healthy or _is_throttle(outcome))
        if outcome.retry_after_s is not None:
            kept.closed_until = max(kept.closed_until, now + outcome.retry_after_s)
        elif _is_throttle(outcome):
            kept.closed_until = max(kept.closed_until, now + BACK_OFF_S[0])

    def wait_s(self, now: float) -> float:
        """Return how soon a provider might take one."""
        return min((max(each.wait_s(now), 0.0) for each in self._kept.values()), default=0.0)

    def health(self, now: float) -> dict[str, str]:
        """Return what is known of each, for an explanation."""
        return {
            name: "left alone" if each.breaker.is_open(now) else "throttled" if each.closed_until > now else "healthy"
            for name, each in self._kept.items()
        }


def back_off_s(attempt: int, draw: Callable[[], float]) -> float:
    """Return how long to wait after an attempt, from 1; drawn (0 to 1), so that retries do not march in step."""
    longest = BACK_OFF_S[min(max(attempt, 1), len(BACK_OFF_S)) - 1]
    return longest * (0.5 + draw() / 2)


def _is_throttle(outcome: Outcome) -> bool:
    """Say whether a refusal is about speed or about this message for now: greylisting, 429. The provider works."""
    if outcome.handed is not Handed.DEFERRED:
        return False
    return outcome.retry_after_s is not None or outcome.code in {429, 450, 452} or outcome.status.startswith("4.7.")
