"""Reads the catalogues that letters are written from."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from rapport_consent.domain.letters import LetterKind, LetterTemplate, Words
from rapport_consent.domain.receipts import Controller


def letter_words(locale: str) -> Words:
    """Return the catalogue of a language; another than those there are becomes English."""
    every = _catalogues()
    return every.get(locale.replace("_", "-").split("-")[0].lower(), every["en"])


def letter_languages() -> tuple[str, ...]:
    """Return the languages there are."""
    return tuple(_catalogues())


def authority_of(market: str, controller: Controller) -> tuple[str, ...]:
    """Return whom a person can complain to, line by line: the controller's own choice, else that of the market.

    Empty where none is known: a refusal that has to name one is then not sendable.
    """
    known = _authorities()
    return controller.authority or known.get(market) or known.get(market[:2], ())


@cache
def _authorities() -> dict[str, tuple[str, ...]]:
    document = files("rapport_consent.domain").joinpath("data/authorities.json").read_text(encoding="utf-8")
    return {market: tuple(lines) for market, lines in json.loads(document)["markets"].items()}


@cache
def _catalogues() -> dict[str, Words]:
    document = files("rapport_consent.domain").joinpath("data/letters.json").read_text(encoding="utf-8")
    return {locale: _words(locale, fields) for locale, fields in json.loads(document).items()}


def _words(locale: str, fields: dict[str, Any]) -> Words:
    return Words(
        locale=locale,
        months=tuple(fields["months"]),
        day=fields["day"],
        first=fields.get("first", "1"),
        codes=fields["codes"],
        letters={
            kind.value: LetterTemplate(
                fields["letters"][kind.value]["subject"], tuple(fields["letters"][kind.value]["blocks"])
            )
            for kind in LetterKind
        },
    )
