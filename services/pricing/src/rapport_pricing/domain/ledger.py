"""The price ledger: published versions of one product, variant and market, appended and never changed.

Every channel reads the one version in force, so a price cannot differ between channels; the lowest price of the days
before a reduction is read from what was published, never from what somebody remembers. Times are microseconds UTC.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Final

from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.money import PPM, Rounding, divide

DAY_US: Final = 86_400_000_000


class Cause(Enum):
    """Why a price changed."""

    LEARNED = "learned"
    AUTHORED = "authored"
    GUARDRAIL = "guardrail"
    LAW = "law"
    PROMOTION = "promotion"
    STOCK = "stock"


@dataclass(frozen=True, slots=True)
class PriceVersion:
    """A published price.

    Attributes:
        version: 1 for the first; without gaps.
        net: Without tax, in minor units.
        gross: With tax and all that cannot be avoided.
        currency: ISO 4217; one for the whole history.
        since_us: From when it holds.
        cause: Why it was published.
        promotion_id: The public promotion it belongs to; empty for a regular price.
        settled: Where it was published to learn: what protected customers pay, as prices of the market are published.
    """

    version: int
    net: int
    gross: int
    currency: str
    since_us: int
    cause: Cause
    promotion_id: str = ""
    settled: int | None = None


@dataclass(frozen=True, slots=True)
class PriorPrice:
    """The lowest price of the window before a reduction.

    Attributes:
        gross: In minor units.
        version: Which version it was.
        from_us: Start of the window.
        until_us: End of the window: when the reduction starts.
        complete: Whether something was published during the whole window.
    """

    gross: int
    version: int
    from_us: int
    until_us: int
    complete: bool


class PriceHistory:
    """Versions in order of time. Its methods return; only `append` makes a longer one."""

    __slots__ = ("_since", "versions")

    def __init__(self, versions: Iterable[PriceVersion] = ()) -> None:
        """Load what was published.

        Raises:
            RapportError: PRICE_INVALID, the versions are no history.
        """
        self.versions: Final = tuple(versions)
        self._since: Final = [each.since_us for each in self.versions]
        for before, after in zip((None, *self.versions), self.versions, strict=False):
            _follows(before, after)

    def at(self, at_us: int) -> PriceVersion | None:
        """Return the one version in force at a time; None before the first."""
        place = bisect_right(self._since, at_us)
        return self.versions[place - 1] if place else None

    def append(self, version: PriceVersion) -> PriceHistory:
        """Return the history with one more version.

        Raises:
            RapportError: PRICE_VERSION_CONFLICT, the version was published before; PRICE_INVALID, it cannot follow.
        """
        last = self.versions[-1] if self.versions else None
        if last is not None and version.version <= last.version:
            raise ERRORS.error("PRICE_VERSION_CONFLICT", f"version {version.version} is published", retry_after_s=0.0)
        return PriceHistory((*self.versions, version))

    def reduction_began(self, at_us: int) -> int | None:
        """Return when the promotion whose price is in force began: the start of its unbroken run of versions.

        A promotion that lowers its price further is one reduction, and none of its own prices is a prior price.
        """
        place = bisect_right(self._since, at_us) - 1
        if place < 0 or not self.versions[place].promotion_id:
            return None
        while place and self.versions[place - 1].promotion_id == self.versions[place].promotion_id:
            place -= 1
        return self._since[place]

    def prior_price(self, reduction_us: int, days: int = 30) -> PriorPrice | None:
        """Return the lowest price of the days before a reduction; None if nothing was published then.

        The price in force when the window opens counts; what is published from the reduction on does not.

        Args:
            reduction_us: When the reduction starts.
            days: Length of the window.
        """
        opens = reduction_us - days * DAY_US
        end = bisect_right(self._since, reduction_us - 1)
        start = max(bisect_right(self._since, opens) - 1, 0)
        window = self.versions[start:end]
        if not window:
            return None
        lowest = min(window, key=lambda each: (each.gross, each.version))
        return PriorPrice(lowest.gross, lowest.version, opens, reduction_us, window[0].since_us <= opens)

    def highest(self, at_us: int, days: int) -> int | None:
        """Return the highest gross price in force in the days up to a time; None if there was none."""
        end = bisect_right(self._since, at_us)
        start = max(bisect_right(self._since, at_us - days * DAY_US) - 1, 0)
        return max((each.gross for each in self.versions[start:end]), default=None)

    def average(self, at_us: int, days: int) -> int | None:
        """Return the gross price averaged over the time it was in force in the days up to a time, rounded down."""
        opens = at_us - days * DAY_US
        end = bisect_right(self._since, at_us)
        start = max(bisect_right(self._since, opens) - 1, 0)
        window = self.versions[start:end]
        edges = [max(each.since_us, opens) for each in window] + [at_us]
        spans = [after - before for before, after in pairwise(edges)]
        if not sum(spans):
            return window[-1].gross if window else None
        return sum(each.gross * span for each, span in zip(window, spans, strict=True)) // sum(spans)


def reduction_ppm(gross: int, prior: PriorPrice | None) -> int | None:
    """Return the reduction that may be claimed, in parts of a million of the prior price; None for no claim.

    The percentage is derived from the prior price, rounded down, and never an input (CJEU C-330/23).
    """
    if prior is None or gross >= prior.gross:
        return None
    return divide((prior.gross - gross) * PPM, prior.gross, Rounding.DOWN)


def _follows(before: PriceVersion | None, after: PriceVersion) -> None:
    if not 0 <= after.net <= after.gross:
        raise ERRORS.error("PRICE_INVALID", "a price is zero or more, and gross no less than net")
    if before is None:
        if after.version != 1:
            raise ERRORS.error("PRICE_INVALID", "the first version is 1")
    elif after.version != before.version + 1 or after.since_us <= before.since_us or after.currency != before.currency:
        raise ERRORS.error("PRICE_INVALID", "versions follow one another without gaps, later each, in one currency")
