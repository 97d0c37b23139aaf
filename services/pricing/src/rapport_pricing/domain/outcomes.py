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
from typing import NamedTuple


class News(IntEnum):
    """What is heard of an exposure; a higher one replaces a lower one."""

    SEEN = 1
    NOT_BOUGHT = 2
    SOLD_OUT = 3
    BOUGHT = 4
    RETURNED = 5


class Count(NamedTuple):
    """What a version has to show: visits at which it could be bought, and purchases that were kept."""

    shown: int
    sold: int


_COUNTS = {
    News.SEEN: Count(0, 0),
    News.NOT_BOUGHT: Count(1, 0),
    News.SOLD_OUT: Count(0, 0),
    News.BOUGHT: Count(1, 1),
    News.RETURNED: Count(1, 0),
}
_NOTHING = Count(0, 0)


def change(before: News | None, heard: News) -> tuple[News, Count]:
    """Return what is known of an exposure after news, and what this adds to the counts of its version.

    Args:
        before: Highest news so far; None for the first.
        heard: The news. SEEN is pending until the time to buy is over, when the caller tells NOT_BOUGHT.
    """
    if before is not None and heard <= before:
        return before, _NOTHING
    was = _COUNTS[before] if before is not None else _NOTHING
    now = _COUNTS[heard]
    return heard, Count(now.shown - was.shown, now.sold - was.sold)


class Outcome(NamedTuple):
    """News of one exposure."""

    exposure_id: str
    version: int
    news: News


@dataclass(slots=True)
class Fold:
    """All that was heard of one product's exposures; the same set of outcomes makes the same fold, in any order."""

    known: dict[str, News] = field(default_factory=dict)
    counts: dict[int, Count] = field(default_factory=dict)

    def hear(self, outcomes: Iterable[Outcome]) -> None:
        """Fold outcomes in."""
        for exposure_id, version, heard in outcomes:
            news, added = change(self.known.get(exposure_id), heard)
            self.known[exposure_id] = news
            shown, sold = self.counts.get(version, _NOTHING)
            self.counts[version] = Count(shown + added.shown, sold + added.sold)
