"""Letters of a privacy request: what each says, where it may be edited, and what it may not go without.

The words are in a catalogue per language; a letter is its blocks, from which text, HTML and PDF are made alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.letter_blocks import Block, Role, page_of, text_of
from rapport_consent.domain.receipts import Controller

_PLACE: Final = re.compile(r"\{(\w+)\}")
_LONGEST_EDIT: Final = 4_000
_BLANKS: Final = str.maketrans("\t\r\xa0\u202f\u2009", "     ")


class LetterKind(StrEnum):
    """Which letter."""

    RECEIPT = "RECEIPT"
    IDENTITY_QUERY = "IDENTITY_QUERY"
    EXTENSION = "EXTENSION"
    REFUSAL = "REFUSAL"
    INTERIM = "INTERIM"
    PACKAGE = "PACKAGE"
    COMPLETION = "COMPLETION"
    NOTHING_HELD = "NOTHING_HELD"


EDITABLE: Final[Mapping[LetterKind, tuple[str, ...]]] = {
    LetterKind.RECEIPT: ("remark",),
    LetterKind.IDENTITY_QUERY: ("remark",),
    LetterKind.EXTENSION: ("reason", "remark"),
    LetterKind.REFUSAL: ("reason", "remark"),
    LetterKind.INTERIM: ("remark",),
    LetterKind.PACKAGE: ("remark",),
    LetterKind.COMPLETION: ("remark",),
    LetterKind.NOTHING_HELD: ("remark",),
}
"""The marked places that an officer may fill, by letter. All other words are the catalogue's."""

NEEDS: Final[Mapping[LetterKind, tuple[str, ...]]] = {
    LetterKind.EXTENSION: ("REASONS", "NEW_DAY"),
    LetterKind.REFUSAL: ("REASONS",),
    LetterKind.IDENTITY_QUERY: ("WHAT_TO_SHOW",),
    LetterKind.INTERIM: ("REASONS",),
}
"""What a letter may not go without, besides what the rule pack says that a refusal tells."""

ANNOUNCED: Final[Mapping[LetterKind, tuple[str, ...]]] = {
    LetterKind.RECEIPT: ("received_on", "due_on"),
    LetterKind.IDENTITY_QUERY: ("received_on", "due_on"),
    LetterKind.EXTENSION: ("received_on", "due_on"),
    LetterKind.REFUSAL: ("received_on",),
    LetterKind.INTERIM: ("received_on",),
}
"""The letters that a message goes ahead of, with the days it names. Its template declares these and no others."""


@dataclass(frozen=True, slots=True)
class RefusedRight:
    """One right that is refused.

    Attributes:
        right: The right, as a code such as "ERASURE".
        ground: Why, as a code of the rule pack.
        article: Where the law says so.
        text: Why, in words to the person.
    """

    right: str
    ground: str
    article: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class LetterFacts:
    """What a letter tells.

    Attributes:
        request_id: The privacy request.
        controller: Who writes.
        rights: Rights the letter is about, as codes.
        received_on: When the request came.
        written_on: Date of the letter.
        due_on: Until when it is answered; None while the clock stands still.
        extended_to: The new day, in an extension.
        extension_reason: Why, as a code of the rule pack.
        shown_by: Ways to show who one is, as codes: "CODE", "LOGIN", "DOCUMENT", "LETTER".
        refused: What is refused.
        reviewed: What people reviewed: the right, how that ended, as codes, and what came of it in words.
        kept: Grounds on which records are kept after an erasure, as codes, each with its end if it is known.
        tells: What a refusal must tell by the rule pack, as codes: "COMPLAINT_TO_AUTHORITY", "JUDICIAL_REMEDY", …
        authority: Whom to complain to: name and address, line by line.
        package_link: Where the package can be fetched; empty for none.
        certificate_id: Certificate of an erasure; empty for none.
    """

    request_id: str
    controller: Controller
    rights: tuple[str, ...]
    received_on: date
    written_on: date
    due_on: date | None = None
    extended_to: date | None = None
    extension_reason: str = ""
    shown_by: tuple[str, ...] = ()
    refused: tuple[RefusedRight, ...] = ()
    reviewed: tuple[tuple[str, str, str], ...] = ()
    kept: tuple[tuple[str, date | None], ...] = ()
    tells: tuple[str, ...] = ()
    authority: tuple[str, ...] = ()
    package_link: str = ""
    certificate_id: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter in one language.

    Attributes:
        kind: Which.
        locale: Its language.
        subject: Its subject line.
        blocks: What it says.
        missing: What it may not go without and does not tell, as codes; sendable when this is empty.
    """

    kind: LetterKind
    locale: str
    subject: str
    blocks: tuple[Block, ...]
    missing: tuple[str, ...]

    @property
    def sendable(self) -> bool:
        """Whether it says everything that it must."""
        return not self.missing

    @property
    def text(self) -> str:
        """The letter as plain text."""
        return text_of(self.blocks)

    @property
    def html(self) -> str:
        """The letter as a page of its own, without script."""
        return page_of(self.blocks, title=self.subject, locale=self.locale)

    def require_sendable(self) -> Letter:
        """Return the letter itself.

        Raises:
            RapportError: LETTER_INCOMPLETE: it lacks what it may not go without.
        """
        if self.missing:
            raise ERRORS.error(
                "LETTER_INCOMPLETE", f"the letter does not tell: {', '.join(self.missing)}", field="edits"
            )
        return self


@dataclass(frozen=True, slots=True)
class LetterTemplate:
    """A letter in a catalogue.

    Attributes:
        subject: Its subject line.
        blocks: Its parts: `text` with places such as "{due_on}", and `role`, `place`, `each`, `if` or `tells`.
            A part is left out where something that it speaks of is not known.
    """

    subject: str
    blocks: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class Words:
    """The catalogue of one language, as `adapters/letter_texts.py` reads it.

    Attributes:
        locale: The language.
        months: Names of the months.
        day: How a day is written: "{day} {month} {year}".
        first: How the first of a month is written, where that differs from 1.
        codes: Wording of codes, by family: "rights", "reasons", "shown_by", "reviewed", "kept", "tells".
        letters: The letters, by kind.
    """

    locale: str
    months: tuple[str, ...]
    day: str
    first: str
    codes: Mapping[str, Mapping[str, str]]
    letters: Mapping[str, LetterTemplate]


def write_letter(kind: LetterKind, facts: LetterFacts, words: Words, edits: Mapping[str, str] | None = None) -> Letter:
    """Return a letter: preview and what is sent are made by this one function.

    Whether it may be sent is for `require_sendable`.

    Args:
        kind: Which.
        facts: What it tells.
        words: The catalogue of its language.
        edits: What an officer wrote into marked places, by place.

    Raises:
        RapportError: LETTER_PLACE_UNKNOWN: there is no such marked place in this letter, or its text is too long.
    """
    edits = {place: _clean(text) for place, text in (edits or {}).items() if text.strip()}
    for place, text in edits.items():
        if place not in EDITABLE[kind] or len(text) > _LONGEST_EDIT:
            raise ERRORS.error("LETTER_PLACE_UNKNOWN", f"the letter cannot be edited at {place!r}", field="edits")
    template = words.letters[kind.value]
    values = _values(facts, words)
    told = [block for part in template.blocks for block in _blocks(part, facts, words, values, edits)]
    given = {block.tells for block in told}
    required = dict.fromkeys((*NEEDS.get(kind, ()), *(facts.tells if kind is LetterKind.REFUSAL else ())))
    missing = [code for code in required if code not in given]
    if kind is LetterKind.REFUSAL and not _all_reasoned(facts, edits) and "REASONS" not in missing:
        missing.insert(0, "REASONS")
    return Letter(kind, words.locale, _filled(template.subject, values), tuple(told), tuple(missing))


def _all_reasoned(facts: LetterFacts, edits: Mapping[str, str]) -> bool:
    """Whether every refusal has a reason in words: a code alone explains nothing."""
    return bool(facts.refused) and ("reason" in edits or all(each.text.strip() for each in facts.refused))


def _blocks(
    part: Mapping[str, str], facts: LetterFacts, words: Words, values: Mapping[str, str], edits: Mapping[str, str]
) -> Iterable[Block]:
    """Return what a part comes to: nothing, if something that it speaks of is not known."""
    if "if" in part and not values[part["if"]]:
        return []
    role: Role = part.get("role", "paragraph")  # type: ignore[assignment]
    tells, place = part.get("tells", ""), part.get("place", "")
    if place:
        return [Block(role, edits[place], place, tells)] if place in edits else []
    match part.get("each"):
        case "refused":
            rows = [{"right": words.codes["rights"].get(r.right, r.right), "article": r.article} for r in facts.refused]
            texts = [_clean(r.text) for r in facts.refused]
            filled = [_filled(part["text"], {**values, **row}) or f"{row['right']}:" for row in rows]
            return [
                Block(role, f"{one} {text}".strip(), tells=tells if text else "")
                for one, text in zip(filled, texts, strict=True)
            ]
        case "tells":
            told = [(code, _filled(words.codes["tells"].get(code, ""), values)) for code in facts.tells]
            return [Block(role, text, tells=code) for code, text in told if text and code != "REASONS"]
        case "reviewed":
            return [
                Block(
                    role, _clean(f"{words.codes['rights'].get(right, right)}: {words.codes['reviewed'][how]} {effect}")
                )
                for right, how, effect in facts.reviewed
            ]
        case "kept":
            return [Block(role, _kept(code, until, words), tells=tells) for code, until in facts.kept]
        case "shown_by":
            ways = [words.codes["shown_by"].get(code, "") for code in facts.shown_by]
            return [Block(role, way, tells=tells) for way in ways if way]
    text = _filled(part["text"], values)
    return [Block(role, text, tells=tells)] if text else []


def _kept(code: str, until: date | None, words: Words) -> str:
    reason = words.codes["kept"].get(code, code)
    return f"{reason} ({words.codes['kept']['UNTIL']} {_day(until, words)})" if until else reason


def _values(facts: LetterFacts, words: Words) -> dict[str, str]:
    controller, rights = facts.controller, words.codes["rights"]
    return {
        "request_id": facts.request_id,
        "controller": controller.name,
        "address": controller.address,
        "contact": controller.contact,
        "rights": ", ".join(rights.get(right, right) for right in facts.rights),
        "received_on": _day(facts.received_on, words),
        "written_on": _day(facts.written_on, words),
        "due_on": _day(facts.due_on, words),
        "extended_to": _day(facts.extended_to, words),
        "extension_reason": words.codes["reasons"].get(facts.extension_reason, ""),
        "authority": ", ".join(filter(None, map(_clean, facts.authority))),
        "package_link": facts.package_link,
        "certificate_id": facts.certificate_id,
        "kept": "kept" if facts.kept else "",
        "reviewed": "reviewed" if facts.reviewed else "",
        "done": "done" if len(facts.reviewed) < len(facts.rights) else "",
    }


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Return the text with its places filled; nothing, if one of them stays empty."""
    if not all(values.get(place) for place in _PLACE.findall(text)):
        return ""
    return _PLACE.sub(lambda match: values[match[1]], text)


def _day(day: date | None, words: Words) -> str:
    if day is None:
        return ""
    number = words.first if day.day == 1 else str(day.day)
    return words.day.format(day=number, month=words.months[day.month - 1], year=day.year)


def _clean(text: str) -> str:
    """Return text without control characters, which no paper shows."""
    spaced = text.replace("\r\n", "\n").translate(_BLANKS)
    return "".join(letter for letter in spaced if letter == "\n" or letter.isprintable()).strip()
