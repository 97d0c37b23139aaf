"""A population of customers and what sources write down of them, with the truth kept apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count, islice
from typing import Final, TypeVar

from rapport_identity.population.draw import Draw
from rapport_identity.population.households import Households
from rapport_identity.population.lexicon import Lexicon
from rapport_identity.population.mix import Mix
from rapport_identity.population.people import Household
from rapport_identity.population.sightings import Sighting, Sightings, Truth

WINDOW: Final = 10_000
"""How many records are held so that those of one person do not arrive one after the other."""

T = TypeVar("T")


class Population:
    """Customers of one seed. The same seed and mix give the same people and records on every machine.

    People are drawn household by household and nothing is kept of them, so that a million records need no more memory
    than the window they arrive through.

    Args:
        seed: Chooses the population.
        mix: What goes wrong, and how often.
    """

    def __init__(self, seed: int, mix: Mix | None = None) -> None:
        mix, lexicon = mix or Mix(), Lexicon.load()
        self._seed = seed
        self._households = Households(seed, mix, lexicon)
        self._sightings = Sightings(seed, mix, lexicon)

    def household(self, number: int) -> Household:
        """Return the household with this number, from 0 on: who is there in truth."""
        return self._households.household(number)

    def sightings(self, records: int) -> Iterator[Sighting]:
        """Yield so many records in the order they arrive."""
        return (sighting for sighting, _ in self.labelled(records))

    def labelled(self, records: int) -> Iterator[tuple[Sighting, Truth]]:
        """Yield so many records with the truth about each, in the order they arrive."""
        return _mixed(islice(self.everything(), records), WINDOW, Draw(self._seed, "arrival"))

    def everything(self) -> Iterator[tuple[Sighting, Truth]]:
        """Yield records with the truth about each without end, one household after the other."""
        for number in count():
            yield from self._sightings.of(self._households.household(number))


def _mixed(values: Iterable[T], window: int, draw: Draw) -> Iterator[T]:
    """Yield the values in another order, holding no more of them than the window."""
    waiting: list[T] = []
    for value in values:
        if len(waiting) < window:
            waiting.append(value)
            continue
        place = draw.below(window)
        yield waiting[place]
        waiting[place] = value
    while waiting:
        place = draw.below(len(waiting))
        waiting[place], waiting[-1] = waiting[-1], waiting[place]
        yield waiting.pop()
