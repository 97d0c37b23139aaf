"""How a source gets one value wrong: each function returns another value than it was given, or None if it cannot."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import date
from typing import Final

from rapport_identity.population.draw import Draw

_NEIGHBOURS: Final = {
    "a": "qs", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo", "j": "hk",
    "k": "jl", "l": "kp", "m": "n", "n": "bm", "o": "ip", "p": "ol", "q": "wa", "r": "et", "s": "ad", "t": "ry",
    "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu", "z": "xa",
}  # fmt: skip


def typo(draw: Draw, text: str) -> str | None:
    """Change one letter after the first: drop it, double it, swap it with the next, or hit the key beside it."""
    if len(text) < 3:
        return None
    place = draw.between(1, len(text) - 2)
    letter, after = text[place], text[place + 1 :]
    wrong = (
        text[:place] + after,
        text[:place] + letter + letter + after,
        text[:place] + after[:1] + letter + after[1:],
        text[:place] + draw.pick(_NEIGHBOURS.get(letter.lower(), "e")) + after,
    )[draw.below(4)]
    return wrong if wrong != text else text[:place] + after


def misheard(draw: Draw, text: str, sounds: Sequence[tuple[str, str]]) -> str | None:
    """Write one sound in another way."""
    lowered = text.lower()
    possible = [(written, heard) for written, heard in sounds if written in lowered[1:]]
    if not possible:
        return None
    written, heard = draw.pick(possible)
    place = lowered.index(written, 1)
    return text[:place] + heard + text[place + len(written) :]


def without_accents(text: str) -> str | None:
    """Leave the accents out."""
    if text.isascii():
        return None
    bare = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    bare = bare.replace("ø", "o").replace("Ø", "O")
    return bare if bare != text else None


def swapped(day: date) -> date | None:
    """Put day and month in each other's place."""
    return date(day.year, day.day, day.month) if day.day <= 12 and day.day != day.month else None


def wrong_date(draw: Draw, day: date) -> date:
    """Get the day, the month or the year wrong by a little."""
    part, off = draw.below(3), draw.between(1, 9)
    if part == 0:
        return day.replace(day=(day.day + off - 1) % 28 + 1) if day.day <= 28 else day.replace(day=off)
    if part == 1:
        return day.replace(month=(day.month + off - 1) % 12 + 1, day=min(day.day, 28))
    return day.replace(year=day.year + (off if day.year < 1980 else -off), day=min(day.day, 28))
