"""A package holds what it should, nothing that it must not, and nothing in it can act."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from consent_packages import PLAN, archive_of, record, table_of, text_of
from hypothesis import given, settings
from hypothesis import strategies as st
from rapport_consent.adapters.package_rendering import UnreadableRecordError
from rapport_consent.domain.package_cells import safe_cell, safe_name
from rapport_consent.domain.packages import PackageKind

_PAGE = ("html", "head", "meta", "title", "style", "body", "main", "nav", "h1", "h2", "h3", "p", "a", "strong")
HARMLESS_TAGS = frozenset([*_PAGE, "table", "caption", "thead", "tbody", "tr", "th", "td", "ul", "li"])
HOSTILE = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            "=1+1",
            "\t=cmd|' /C calc'!A0",
            "  @SUM(1)",
            "\uff1d1+1",
            "+1+2",
            "-2+3",
            "'=1",
            "<script>alert(1)</script>",
            '"><img src=x onerror=alert(1)>',
            "</style><script>",
            "javascript:alert(1)",
            "../../etc/passwd",
            "/etc/passwd",
            "C:\\windows",
            "a\x00b",
            "&lt;b&gt;",
        ]
    ),
)


class Page(HTMLParser):
    """What a browser makes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.seen = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}

    def handle_data(self, data: str) -> None:
        self.seen += data


def pages(archive: Any) -> list[Page]:
    """Every page of an archive."""
    return [Page(text_of(archive, name)) for name in archive.namelist() if name.endswith(".html")]


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(HOSTILE, st.one_of(HOSTILE, st.lists(HOSTILE, max_size=2), st.dictionaries(HOSTILE, HOSTILE))),
    HOSTILE,
    HOSTILE,
    HOSTILE,
)
def test_nothing_in_a_record_becomes_markup_formula_or_path(
    data: dict[str, Any], participant: str, store: str, record_id: str
) -> None:
    with TemporaryDirectory() as folder:
        hostile = record(data, participant, store, record_id=record_id, redacted=(store,))
        with archive_of(Path(folder), [hostile], history=((PLAN.made_at, record_id),)) as archive:
            for name in archive.namelist():
                assert re.fullmatch(r"index\.html|(data|pages)/[a-z0-9/-]+\.(json|csv|html)", name)
                assert ".." not in PurePosixPath(name).parts
            for page in pages(archive):
                assert page.tags <= HARMLESS_TAGS
                links = [value for name, value in page.attributes if name in ("href", "src")]
                assert all(re.fullmatch(r"#content|\.\./index\.html|[a-z0-9/-]+\.(html|json|csv)", e) for e in links)
                assert not [name for name, _ in page.attributes if name.startswith("on") or name == "style"]
            (tables,) = [name for name in archive.namelist() if name.endswith(".csv")]
            for row in table_of(archive, tables):
                for cell in (*row.keys(), *row.values()):
                    assert not re.match(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20|%]", cell) or re.fullmatch(r"-?\d+", cell)
            (told,) = json.loads(text_of(archive, tables.replace(".csv", ".json")))
            assert told["record_id"] == record_id


@given(st.text(), st.text())
def test_names_of_files_are_plain_and_as_different_as_what_they_name(one: str, other: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]{1,60}", safe_name(one))
    assert (safe_name(one) == safe_name(other)) == (one == other)


@pytest.mark.parametrize(("value", "shown"), [("-5", "-5"), ("+3.50", "+3.50"), ("-5+2", "'-5+2"), ("plain", "plain")])
def test_numbers_stay_numbers_and_formulas_do_not(value: str, shown: str) -> None:
    assert safe_cell(value) == shown


def test_what_is_never_disclosed_is_left_out_however_deep_and_named_and_others_are_marked(tmp_path: Path) -> None:
    data = {
        "name": "Ada",
        "passwordHash": "canary-1",
        "wallet": {"Card-Number": "canary-2", "cards": [{"cvv": "canary-3", "colour": "red"}]},
        "friend": "canary-4",
    }
    archive = archive_of(tmp_path, [record({**data, "friend": None}, redacted=("friend",))])
    everything = "".join(text_of(archive, name) for name in archive.namelist())
    assert "canary" not in everything
    (told,) = json.loads(text_of(archive, "data/identity/records.json"))
    mark = "[left out: about another person, Art. 15(4) GDPR]"
    assert told["data"] == {"name": "Ada", "wallet": {"cards": [{"colour": "red"}]}, "friend": mark}
    assert table_of(archive, "data/identity/records.csv")[0]["friend"] == mark
    assert mark in text_of(archive, "pages/identity-records-1.html")
    assert "Card-Number, cvv, passwordHash" in text_of(archive, "index.html")


@pytest.mark.parametrize(
    ("locale", "language", "words"),
    [("de-AT", "de", "Ihre Rechte"), ("fr", "fr", "Vos droits"), ("en", "en", "Your rights"), ("tlh", "en", "rights")],
)
def test_first_page_speaks_the_language_and_says_all_that_the_law_wants_said(
    tmp_path: Path, locale: str, language: str, words: str
) -> None:
    archive = archive_of(tmp_path, [record({"risk": 0.4}, "churn", "scores")], locale=locale)
    page = Page(text_of(archive, "index.html"))
    assert ("lang", language) in page.attributes
    for said in (words, "Acme <GmbH>", "privacy@example.com", "Parcel Co", "To deliver", "Court Road", "SHOP", "EU"):
        assert said in page.seen
    assert ("href", "pages/churn-scores-1.html") in page.attributes


def test_portability_package_leaves_out_what_was_worked_out_and_says_so(tmp_path: Path) -> None:
    records = [record({"city": "Bonn"}), record({"risk": 0.4}, "churn", "scores"), record({"a": 1}, "new", "things")]
    archive = archive_of(tmp_path, records, kind=PackageKind.PORTABILITY)
    assert "data/identity/records.json" in archive.namelist()
    assert not [name for name in archive.namelist() if "churn" in name or "new" in name]
    assert "since we worked it out: 1" in Page(text_of(archive, "index.html")).seen


def test_nothing_held_is_said_and_long_stores_have_several_pages(tmp_path: Path) -> None:
    empty, full = tmp_path / "empty", tmp_path / "full"
    empty.mkdir()
    full.mkdir()
    assert "We hold nothing about you" in Page(text_of(archive_of(empty, []), "index.html")).seen
    archive = archive_of(full, (record({"n": n, f"k{n}": n}, record_id=f"rec_{n}") for n in range(401)))
    assert [name for name in archive.namelist() if name.startswith("pages/")] == [
        f"pages/identity-records-{number}.html" for number in (1, 2, 3)
    ]
    rows = table_of(archive, "data/identity/records.csv")
    assert [row["record_id"] for row in rows] == [f"rec_{n}" for n in range(401)]
    assert json.loads(rows[400]["(more)"]) == {"k400": 400}


@pytest.mark.parametrize("text", ["[]", "1", "{", "[" * 5000])
def test_what_is_no_record_stops_the_package(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnreadableRecordError):
        archive_of(tmp_path, [record(text)])
