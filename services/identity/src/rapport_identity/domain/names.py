"""Names made comparable: folding of letters, suffixes, short forms, and a code by sound."""

import json
import re
import unicodedata
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import resources
from typing import Final

SUFFIXES: Final[Mapping[str, str]] = {
    "jr": "2", "junior": "2", "jnr": "2", "ii": "2",
    "sr": "1", "senior": "1", "snr": "1", "i": "1",
    "iii": "3", "iv": "4",
}  # fmt: skip
"""What tells a person from a namesake of another generation, as the number of the generation."""

TITLES: Final = frozenset({
    "mr", "mrs", "ms", "miss", "mx", "master", "dr", "doctor", "prof", "professor", "rev", "reverend", "fr", "hon",
    "sir", "dame", "lady", "lord", "count", "countess", "earl", "baron", "baroness", "viscount", "viscountess", "duke",
    "duchess", "baronet", "bart", "bt", "esq", "captain", "capt", "lieutenant", "lt", "colonel", "col", "major",
    "general", "admiral", "sergeant", "sgt", "herr", "frau", "senor", "senora", "mme", "monsieur", "madame",
})  # fmt: skip
"""Words beside a name that address or rank a person and do not tell one from another."""

ORDINALS: Final = frozenset({"1st", "2nd", "3rd", *(f"{number}th" for number in range(4, 21))})
"""Which holder of a title a person is."""

UNLIKE_ANY: Final = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "\u0131": "i"}
)
"""Letters that Unicode does not decompose."""

FOLDED: Final = 20_000
"""How many texts are kept folded: names and places come again and again, and then are one object in memory too."""

_LATIN: Final = ("latin",)
_APART = re.compile(r"[^\w]+|_+")
_APOSTROPHES = re.compile("['\u2019`\u00b4]")
_SOUNDS: Final[Mapping[str, str]] = {
    letter: digit
    for letters, digit in (("bfpv", "1"), ("cgjkqsxz", "2"), ("dt", "3"), ("l", "4"), ("mn", "5"), ("r", "6"))
    for letter in letters
}


@lru_cache(FOLDED)
def fold(text: str | None) -> str | None:
    """Return the text in small letters without accents and punctuation, words apart by one blank; None if none is left.

    An apostrophe joins (o'hare is ohare), every other sign parts. What is Latin ends as ASCII, so that a distance in
    characters is one in bytes: DuckDB compares bytes, and both must agree.
    """
    if not text:
        return None
    if not text.isascii():
        lowered = unicodedata.normalize("NFKD", text.casefold()).translate(UNLIKE_ANY)
        text = "".join(sign for sign in lowered if not unicodedata.combining(sign))
    words = _APART.sub(" ", _APOSTROPHES.sub("", text.casefold())).split()
    return " ".join(words) or None


def scripts(text: str | None) -> tuple[str, ...]:
    """Return the scripts that the letters of a folded text are of, sorted: two that share none cannot be compared."""
    if not text:
        return ()
    return _LATIN if text.isascii() else _scripts(text)


@lru_cache(FOLDED)
def _scripts(text: str) -> tuple[str, ...]:
    return tuple(sorted({unicodedata.name(sign, "?").split()[0].lower() for sign in text if sign.isalpha()}))


def without_titles(words: list[str]) -> list[str]:
    """Return the words less titles and ordinals; a name that is nothing else is no name."""
    return [word for word in words if word not in TITLES and word not in ORDINALS]


def split_suffix(words: list[str]) -> tuple[list[str], str | None]:
    """Return the words without a suffix at their end, and the generation that it names.

    A lone letter i is a suffix only where a word remains before it, as in "Morris I".
    """
    if len(words) > 1 and words[-1] in SUFFIXES:
        return words[:-1], SUFFIXES[words[-1]]
    return words, None


@cache
def short_forms() -> Mapping[str, frozenset[str]]:
    """Return for each name the names that it may stand for, itself among them.

    From data/short_forms.json: one line a full name with its usual short forms, in several languages.
    """
    table: dict[str, set[str]] = {}
    text = resources.files("rapport_identity.domain").joinpath("data/short_forms.json").read_text("utf-8")
    for full, shorts in json.loads(text)["names"].items():
        for name in (full, *shorts):
            table.setdefault(name, set()).add(full)
    return {name: frozenset(roots) for name, roots in table.items()}


@lru_cache(FOLDED)
def roots(given: str) -> tuple[str, ...]:
    """Return the full names that a folded given name may stand for; the name itself if none is known."""
    known = short_forms().get(given)
    return tuple(sorted(known | {given})) if known else (given,)


@lru_cache(FOLDED)
def sound(word: str) -> str:
    """Return the Soundex code of a folded word: its first letter and three digits; used to block, never to decide."""
    code, last = word[0], _SOUNDS.get(word[0], "")
    for letter in word[1:]:
        digit = _SOUNDS.get(letter, "")
        if digit and digit != last:
            code += digit
            if len(code) == 4:
                return code
        if letter not in "hw":
            last = digit
    return code.ljust(4, "0")
