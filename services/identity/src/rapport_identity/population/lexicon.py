"""Names and places to draw from, read from the data files beside this module."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from rapport_identity.population.draw import Weighted, number

_TOWNS: Final = 1500
_EMPLOYERS: Final = 3000


@dataclass(frozen=True, slots=True)
class Town:
    """A made-up town.

    Attributes:
        number: Tells it from the others.
        name: Its name; not always its alone.
        region: The state it lies in.
        postcode: First three digits of its postal codes.
    """

    number: int
    name: str
    region: str
    postcode: str


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Everything that is drawn from, most frequent first where frequency differs.

    Attributes:
        female: Given names.
        male: Given names.
        surnames: Common surnames, then thousands of rare ones made of syllables.
        short_forms: Nicknames of given names.
        misheard: Spellings and what they may sound like.
        towns: Towns.
        streets: Street names.
        street_types: Types of streets with their abbreviations.
        employers: Employers.
        mail_domains: Domains of private mailboxes; names that are reserved, so that no mail reaches anybody.
        roles: Local parts of the mailboxes of offices.
        placeholder_emails: What is typed where no address is known.
        placeholder_phones: What is typed where no number is known.
        placeholder_dates: What is typed where no date is known.
    """

    female: Weighted[str]
    male: Weighted[str]
    surnames: Weighted[str]
    short_forms: dict[str, tuple[str, ...]]
    misheard: tuple[tuple[str, str], ...]
    towns: Weighted[Town]
    streets: Weighted[str]
    street_types: tuple[tuple[str, str], ...]
    employers: Weighted[str]
    mail_domains: tuple[str, ...]
    roles: tuple[str, ...]
    placeholder_emails: tuple[str, ...]
    placeholder_phones: tuple[str, ...]
    placeholder_dates: tuple[str, ...]

    @classmethod
    def load(cls) -> Lexicon:
        """Read the data files."""
        names, places = _read("names.json"), _read("places.json")
        surnames: list[str] = names["surnames"]
        rare = sorted(
            {begin + end for begin in names["beginnings"] for end in names["endings"]} - set(surnames),
            key=lambda name: number("surname", name),
        )
        trades: list[str] = places["trades"]
        employers = [f"{rare[place]} {trades[place % len(trades)]}" for place in range(_EMPLOYERS)]
        return cls(
            female=Weighted(names["female"]),
            male=Weighted(names["male"]),
            surnames=Weighted([*surnames, *rare], flatness=30),
            short_forms={name: tuple(short) for name, short in names["short_forms"].items()},
            misheard=tuple((written, heard) for written, heard in names["misheard"]),
            towns=Weighted(_towns(names["beginnings"], places["town_endings"], places["regions"]), flatness=20),
            streets=Weighted(places["streets"]),
            street_types=tuple((long, short) for long, short in places["street_types"]),
            employers=Weighted(employers, flatness=50),
            mail_domains=tuple(places["mail_domains"]),
            roles=tuple(places["roles"]),
            placeholder_emails=tuple(places["placeholder_emails"]),
            placeholder_phones=tuple(places["placeholder_phones"]),
            placeholder_dates=tuple(places["placeholder_dates"]),
        )


def _read(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(files(__package__).joinpath("data", name).read_text(encoding="utf-8"))
    return loaded


def _towns(beginnings: Sequence[str], endings: Sequence[str], regions: Sequence[str]) -> list[Town]:
    named = sorted({begin + end for begin in beginnings for end in endings}, key=lambda name: number("town", name))
    return [
        Town(place, named[place % len(named)], regions[number("region", place) % len(regions)], f"{place % 1000:03}")
        for place in range(_TOWNS)
    ]
