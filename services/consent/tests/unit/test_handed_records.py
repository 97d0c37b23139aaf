"""Records that are handed in are read line by line, wherever the bytes are cut; what is none is refused by its line."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_chassis.errors import RapportError
from rapport_consent.domain.handed_records import MOST_IN_LINE, MOST_STORES, RecordLines

GOOD = {"store": "boxes", "record_id": "b-1", "data": {"name": "Ada"}}


def line(**change: Any) -> bytes:
    """A line of a record, with something else in it; what is None is left out."""
    return json.dumps({name: value for name, value in {**GOOD, **change}.items() if value is not None}).encode()


def nested(depth: int) -> Any:
    """Objects within one another."""
    return {"a": nested(depth - 1)} if depth else 1


@given(st.lists(st.text(max_size=9), max_size=6), st.lists(st.integers(0, 400), max_size=8), st.booleans())
def test_records_are_the_same_wherever_their_bytes_are_cut(texts: list[str], cuts: list[int], ends: bool) -> None:
    said = [line(record_id=str(at + 1), data={"text": text}) for at, text in enumerate(texts)]
    body = b"\n\n".join(said) + b"\n" * ends
    lines, places = RecordLines("archive"), [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    found = [each for at, to in pairwise(places) for each in lines.feed(body[at:to])]
    found += lines.end()
    assert [json.loads(each.json)["text"] for each in found] == texts
    assert [each.record_id for each in found] == [str(at + 1) for at in range(len(texts))]
    assert lines.counts == ({"boxes": len(texts)} if texts else {})


def test_a_line_says_when_it_was_taken_down_and_what_was_left_out() -> None:
    (found,) = RecordLines("archive").feed(line(recorded_at="2026-11-20T09:30:00Z", redacted=["neighbour"]) + b"\n")
    assert (found.participant, found.store, found.record_id) == ("archive", "boxes", "b-1")
    assert found.recorded_at is not None
    assert found.recorded_at.isoformat() == "2026-11-20T09:30:00+00:00"
    assert found.redacted == ("neighbour",)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"{canary", "NO_JSON"),
        (b"\xff\xfe", "NO_JSON"),
        (b"[" * 100_000, "NO_JSON"),
        (b'["canary"]', "NO_RECORD"),
        (line(data="canary"), "NO_RECORD"),
        (line(data=None), "NO_RECORD"),
        (line(store=None), "FIELDS"),
        (line(record_id=None), "FIELDS"),
        (line(date="canary"), "FIELDS"),
        (line(store=""), "STORE"),
        (line(store=7), "STORE"),
        (line(store="bo\nxes"), "STORE"),
        (line(record_id="x" * 201), "RECORD_ID"),
        (line(recorded_at="yesterday"), "RECORDED_AT"),
        (line(recorded_at="2026-11-20T09:30:00"), "RECORDED_AT"),
        (line(recorded_at=7), "RECORDED_AT"),
        (line(redacted="canary"), "REDACTED"),
        (line(redacted=[{}]), "REDACTED"),
        (line(data={"n": float("nan")}), "NO_JSON"),
        (b'{"store": "boxes", "record_id": "b-1", "data": {"n": 1e999}}', "NO_JSON"),
        (b'{"store": "boxes", "record_id": "b-1", "data": {"n": "\\ud800"}}', "NO_JSON"),
        (line(data=nested(40)), "TOO_DEEP"),
        (b"x" * (MOST_IN_LINE + 1), "TOO_LONG"),
    ],
)
def test_what_is_no_record_is_refused_by_its_line_and_not_quoted(bad: bytes, why: str) -> None:
    lines = RecordLines("archive")
    with pytest.raises(RapportError, match="RECORDS_MALFORMED") as refused:
        list(lines.feed(line() + b"\n\n" + bad + b"\n" + line()))
    assert refused.value.metadata == {"line": "3", "why": why}
    assert "canary" not in str(refused.value)


def test_nobody_keeps_more_stores_than_can_be_shown() -> None:
    lines = RecordLines("archive")
    list(lines.feed(b"".join(line(store=f"s{n}") + b"\n" for n in range(MOST_STORES))))
    with pytest.raises(RapportError, match="TOO_MANY_STORES"):
        list(lines.feed(line(store="another") + b"\n"))
