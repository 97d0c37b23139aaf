"""What a person wants to hear about, and where: category by channel. The most special wish decides."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from rapport_notification.domain.vocabulary import Channel

EVERYTHING: Final = "*"
"""A category that stands for all."""


@dataclass(frozen=True, slots=True)
class Category:
    """What messages are about.

    Attributes:
        name: Its name.
        owed: It cannot be refused: what a contract or the law needs said.
        channels: Where it is heard without a wish.
    """

    name: str
    owed: bool = False
    channels: frozenset[Channel] = frozenset(Channel)


@dataclass(frozen=True, slots=True)
class Wish:
    """One row.

    Attributes:
        category: A category, or `EVERYTHING`.
        channel: A channel; None for all.
        wanted: Whether.
        set_us: When it was said.
    """

    category: str
    channel: Channel | None
    wanted: bool
    set_us: int


@dataclass(frozen=True, slots=True)
class Person:
    """What one person wants.

    Attributes:
        wishes: By category and channel.
        place: Zone and country where the person says to live; None if that was not said.
        version: Grows with each change.
    """

    wishes: tuple[Wish, ...] = ()
    place: tuple[str, str] | None = None
    version: int = 0


def decide(category: Category, channel: Channel, wishes: Iterable[Wish]) -> tuple[bool, Wish | None]:
    """Say whether a category is wanted on a channel, and which row says so; None where it is the category's default.

    A wish about the category goes before one about everything, one about the channel before one about all; what was
    said later before what was said earlier, and no before yes.
    """
    fitting = [
        each for each in wishes if each.category in {category.name, EVERYTHING} and each.channel in {channel, None}
    ]
    if not fitting:
        return category.owed or channel in category.channels, None
    chosen = max(
        fitting,
        key=lambda each: (each.category != EVERYTHING, each.channel is not None, each.set_us, not each.wanted),
    )
    return category.owed or chosen.wanted, chosen


def wanted_channels(
    category: Category, wishes: Collection[Wish], offered: Iterable[Channel]
) -> Mapping[Channel, Wish | None]:
    """Return the offered channels on which a category is wanted, each with the row that says so."""
    found = {channel: decide(category, channel, wishes) for channel in offered}
    return {channel: row for channel, (wanted, row) in found.items() if wanted}


def merged(first: Iterable[Wish], second: Iterable[Wish]) -> tuple[Wish, ...]:
    """Return the wishes of one person who was thought to be two: of each cell what was said last; at once, no."""
    latest: dict[tuple[str, Channel | None], Wish] = {}
    for each in (*first, *second):
        cell = (each.category, each.channel)
        known = latest.get(cell)
        if known is None or (each.set_us, not each.wanted) > (known.set_us, not known.wanted):
            latest[cell] = each
    return tuple(latest[cell] for cell in sorted(latest, key=lambda cell: (cell[0], cell[1] or 0)))
