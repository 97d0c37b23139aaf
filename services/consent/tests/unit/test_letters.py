"""Letters say what they must, in each language, and officers change nothing but the marked places."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from html import unescape
from html.parser import HTMLParser
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader
from rapport_chassis.errors import RapportError
from rapport_consent.adapters.fonts import MISSING
from rapport_consent.adapters.letter_texts import authority_of, letter_languages, letter_words
from rapport_consent.adapters.papers import letter_pdf, one_page
from rapport_consent.adapters.rule_packs import shipped_packs
from rapport_consent.domain.letters import EDITABLE, LetterFacts, LetterKind, RefusedRight, write_letter
from rapport_consent.domain.receipts import Controller

REFUSED = RefusedRight("ERASURE", "EXCEPTION_APPLIES", "17(3)", "An invoice of 2024 must be kept.")
FACTS = LetterFacts(
    request_id="req_0123456789",
    controller=Controller("acme", "Acme <GmbH>", "1 Main Street", "privacy@example.com", "EU", "EU", "", ""),
    rights=("ACCESS", "ERASURE"),
    received_on=date(2026, 3, 1),
    written_on=date(2026, 3, 2),
    due_on=date(2026, 4, 1),
    extended_to=date(2026, 6, 1),
    extension_reason="COMPLEXITY",
    shown_by=("CODE", "DOCUMENT"),
    refused=(REFUSED,),
    kept=(("LEGAL_CLAIM", date(2031, 1, 1)),),
    tells=("REASONS", "COMPLAINT_TO_AUTHORITY", "JUDICIAL_REMEDY"),
    authority=("Data Protection Authority", "2 Court Road"),
    package_link="https://example.com/p/1",
    certificate_id="crt_0123456789",
)


@pytest.mark.parametrize("locale", letter_languages())
@pytest.mark.parametrize("kind", LetterKind)
def test_letter_is_complete_in_each_language(kind: LetterKind, locale: str) -> None:
    letter = write_letter(kind, FACTS, letter_words(locale)).require_sendable()
    assert (letter.locale, letter.kind) == (locale, kind)
    for text in (letter.subject, letter.text, letter.html):
        assert FACTS.request_id in text
        assert not re.search(r"\{[a-z_]+\}", text)
    assert f'lang="{locale}"' in letter.html
    assert letter_pdf(letter).startswith(b"%PDF-")


def test_letter_on_paper_is_the_same_bytes_for_the_same_words() -> None:
    letter = write_letter(LetterKind.COMPLETION, FACTS, letter_words("fr"))
    assert letter_pdf(letter) == letter_pdf(letter)


def test_catalogues_say_the_same_in_each_language() -> None:
    english = letter_words("en")
    for locale in letter_languages():
        words = letter_words(locale)
        assert {family: set(codes) for family, codes in words.codes.items()} == {
            family: set(codes) for family, codes in english.codes.items()
        }
        for kind in LetterKind:
            of, told = english.letters[kind].blocks, words.letters[kind].blocks
            assert [_shape(block) for block in told] == [_shape(block) for block in of]


def _shape(block: Any) -> Any:
    places = sorted(re.findall(r"\{(\w+)\}", block.get("text", "")))
    return {**block, "text": places}


def test_catalogues_have_words_for_all_that_the_rule_packs_say() -> None:
    for locale in letter_languages():
        codes = letter_words(locale).codes
        for pack in shipped_packs():
            assert set(pack.refusal_tells) - {"REASONS"} <= codes["tells"].keys()
            assert set(pack.extension_reasons) <= codes["reasons"].keys()
            assert set(pack.rights) <= codes["rights"].keys()


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"refused": ()}, ("REASONS",)),
        ({"refused": (REFUSED, replace(REFUSED, text=" \n"))}, ("REASONS",)),
        ({"authority": ()}, ("COMPLAINT_TO_AUTHORITY",)),
        ({"authority": (" ",)}, ("COMPLAINT_TO_AUTHORITY",)),
        ({"tells": (*FACTS.tells, "SOMETHING_NEW")}, ("SOMETHING_NEW",)),
    ],
)
def test_refusal_that_lacks_what_it_must_tell_cannot_be_sent(change: dict[str, Any], missing: tuple[str, ...]) -> None:
    letter = write_letter(LetterKind.REFUSAL, replace(FACTS, **change), letter_words("en"), {"remark": "See reasons."})
    assert letter.missing == missing
    assert not letter.sendable
    with pytest.raises(RapportError, match="LETTER_INCOMPLETE"):
        letter.require_sendable()


def test_reason_written_by_an_officer_is_a_reason() -> None:
    facts = replace(FACTS, refused=(replace(REFUSED, text=""),))
    letter = write_letter(LetterKind.REFUSAL, facts, letter_words("de"), {"reason": "Weil es so ist."})
    assert "Weil es so ist." in letter.require_sendable().text


def test_everybody_whom_a_pack_speaks_to_has_an_authority_that_can_be_printed() -> None:
    for market in {market for pack in shipped_packs() for market in pack.markets}:
        lines = authority_of(market, FACTS.controller)
        assert lines, market
        assert letter_pdf(write_letter(LetterKind.REFUSAL, replace(FACTS, authority=lines), letter_words("en")))
    assert authority_of("US-CA", FACTS.controller) != authority_of("US", FACTS.controller)
    assert authority_of("DE", replace(FACTS.controller, authority=("Ours",))) == ("Ours",)


@pytest.mark.parametrize(
    ("kind", "change", "missing"),
    [
        (LetterKind.EXTENSION, {"extension_reason": ""}, "REASONS"),
        (LetterKind.EXTENSION, {"extended_to": None}, "NEW_DAY"),
        (LetterKind.IDENTITY_QUERY, {"shown_by": ()}, "WHAT_TO_SHOW"),
    ],
)
def test_other_letters_too_are_sent_only_with_what_they_are_for(
    kind: LetterKind, change: dict[str, Any], missing: str
) -> None:
    assert write_letter(kind, replace(FACTS, **change), letter_words("fr")).missing == (missing,)


@pytest.mark.parametrize("edits", [{"subject": "x"}, {"tells": ""}, {"reason": "x"}, {"remark": "x" * 5000}])
def test_letter_is_edited_in_its_marked_places_only(edits: dict[str, str]) -> None:
    if not any(edits.values()):
        assert write_letter(LetterKind.RECEIPT, FACTS, letter_words("en"), edits).sendable
        return
    with pytest.raises(RapportError, match="LETTER_PLACE_UNKNOWN"):
        write_letter(LetterKind.RECEIPT, FACTS, letter_words("en"), edits)


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name in ("href", "src", "style")]


@given(
    st.text(max_size=60), st.sampled_from(["", "<script>alert(1)</script>", '"><img src=x onerror=a>', "</p><style>"])
)
def test_nothing_that_an_officer_writes_becomes_markup(text: str, markup: str) -> None:
    for kind in (LetterKind.REFUSAL, LetterKind.COMPLETION):
        edits = dict.fromkeys(EDITABLE[kind], text + markup)
        letter = write_letter(
            kind, replace(FACTS, refused=(replace(REFUSED, text=text + markup),)), letter_words("en"), edits
        )
        allowed = {"html", "head", "meta", "title", "style", "body", "main", "h1", "p", "br", "ul", "li"}
        assert _Tags(letter.html).tags <= allowed


def printed(text: str, *, locale: str = "en", places: tuple[str, ...] = ("remark",)) -> str:
    """What a letter says on paper, read back out of it."""
    letter = write_letter(LetterKind.REFUSAL, FACTS, letter_words(locale), dict.fromkeys(places, text))
    assert text in unescape(letter.html)
    return read_back(letter_pdf(letter))


@pytest.mark.parametrize(
    "name",
    [
        "Łukasz Żółć, Ágnes Őszi, Ğülşen İnci, Đặng Thị Mỹ",
        "Ελένη Παπαδοπούλου, Γιώργος",
        "Светлана Юрьевна Щёголева, Їжак, Ђорђе, Ћирић",
        "ნინო გელაშვილი",
        "\u2018Noël\u2019 \u2013 “€ 5” … non\u2011breaking • №",
    ],
)
@pytest.mark.parametrize("locale", letter_languages())
def test_names_are_printed_in_their_letters(name: str, locale: str) -> None:
    said = printed(name, locale=locale)
    assert name in said
    assert MISSING not in said


def test_a_subject_and_a_table_have_the_same_letters() -> None:
    page = one_page("title", [("subject", "Ελένη ნინო")], locale="en", table=[["Ключ", "ნინო"]])
    said = read_back(page)
    for words in ("Ελένη", "ნინო", "Ключ"):
        assert words in said


@pytest.mark.parametrize("name", ["你好", "שרה", "سارة", "สมชาย", "राम", "Արամ", "🙂"])
def test_a_letter_that_cannot_be_printed_is_marked_and_the_paper_says_so(name: str) -> None:
    said = printed(f"for {name}.")
    assert f"for {MISSING * len(name)}." in said
    assert "stands for a letter that cannot be printed here" in said


def test_every_language_says_what_a_mark_stands_for() -> None:
    for locale in letter_languages():
        paper = one_page("title", [("paragraph", "好")], locale=locale)
        words = read_back(paper).replace("\n", " ")
        assert words.count(MISSING) == 2
        assert (locale == "en") == ("stands for a letter" in words)


def test_composed_and_decomposed_letters_are_printed_alike_and_marks_of_direction_are_not() -> None:
    assert "Noël" in printed("Noe\u0308l")
    assert "ab" in read_back(one_page("title", [("paragraph", "a\u200f\u200db")], locale="en"))


def read_back(paper: bytes) -> str:
    """The text of a paper, as whoever copies it gets it; lines are as they were broken."""
    return "\n".join(page.extract_text() for page in PdfReader(BytesIO(paper)).pages)
