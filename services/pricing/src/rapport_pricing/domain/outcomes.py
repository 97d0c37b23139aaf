"""Folds what became of exposures into integer counts, whatever the order, lateness and repetition of the news.

An exposure is one showing of one price version to one visitor. The news of it are ranked, and the highest rank heard
so far is what counts: hearing the same again, or something lower later, changes nothing. So the counts of a version
depend on the set of news alone. Visits at which the product was sold out say nothing about the price and count as no
visit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple


class News(IntEnum):
    """What is heard of an exposure; a higher one replaces a lower one."""

    SEEN = 1
    NOT_BOUGHT = 2
    SOLD_OUT = 3
    BOUGHT = 4
    RETURNED = 5


class Count(NamedTuple):
    """What a version has to show.

    Attributes:
        shown: Visits at which it could be bought, and whose end is known.
        sold: Purchases that were kept.
        pending: Visits that may still end in a purchase.
    """

    shown: int
    sold: int
    pending: int = 0

    @property
    def heard(self) -> int:
        """Visits at which it could be bought, whether or not their end is known."""
        return self.shown + self.pending

    def less(self, other: Count) -> Count:
        """Return what came on top of an earlier count."""
        return Count(self.shown - other.shown, self.sold - other.sold, self.pending - other.pending)


_COUNTS = {
    News.SEEN: Count(0, 0, 1),
    News.NOT_BOUGHT: Count(1, 0),
    News.SOLD_OUT: Count(0, 0),
    News.BOUGHT: Count(1, 1),
    News.RETURNED: Count(1, 0),
}
NOTHING: Final = Count(0, 0)


class Heard(NamedTuple):
    """What is known of an exposure.

    Attributes:
        news: The highest so far.
        reported: Whether somebody reported the exposure. A redemption alone is none: of those who did not buy nothing
            would be heard, and everybody would seem to buy.
    """

    news: News
    reported: bool = True


def change(before: Heard | None, heard: Heard) -> tuple[Heard, Count]:
    """Return what is known of an exposure after news, and what this adds to the counts of its version.

    Args:
        before: What was known; None for nothing.
        heard: The news. SEEN is pending until the time to buy is over, when the caller tells NOT_BOUGHT.
    """
    after = heard if before is None else Heard(max(before.news, heard.news), before.reported or heard.reported)
    return after, _count(after).less(NOTHING if before is None else _count(before))


class Outcome(NamedTuple):
    """News of one exposure of one version."""

    exposure_id: str
    version: int
    news: News
    reported: bool = True


@dataclass(slots=True)
class Fold:
    """All that was heard of one product's exposures; the same set of outcomes makes the same fold, in any order."""

    known: dict[tuple[int, str], Heard] = field(default_factory=dict)
    counts: dict[int, Count] = field(default_factory=dict)

    def hear(self, outcomes: Iterable[Outcome]) -> None:
        """Fold outcomes in."""
        for exposure_id, version, news, reported in outcomes:
            key = version, exposure_id
            self.known[key], added = change(self.known.get(key), Heard(news, reported))
            shown, sold, pending = self.counts.get(version, NOTHING)
            self.counts[version] = Count(shown + added.shown, sold + added.sold, pending + added.pending)


def _count(heard: Heard) -> Count:
    return _COUNTS[heard.news] if heard.reported else NOTHING
