"""`rapport privacy answer`: what an officer hands in from a file ends up in the package, what was done in the proof."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import click
import pytest
from local_desk import Desk
from rapport_chassis.ids import new_id
from rapport_local.record_files import PIECE, pieces_of
from rapport_testing.waiting import eventually_sync

REGISTRY = [{"name": "consent"}, {"name": "identity"}, {"name": "archive", "kind": "MANUAL", "owner": "records office"}]
PATIENCE_S = 60.0
TABLE = (
    "record_id,recorded_at,redacted,note,neighbour\n"
    "b-1,2026-01-02T03:04:05Z,,=cmd(),\n"
    'b-2,,neighbour,"said ""no""",Eva\n'
)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Desk]:
    """A running ledger that asks identity and people."""
    made = Desk(tmp_path / "environment", "consent", "identity")
    made.environment.create()
    made.environment.participants_file.write_text(json.dumps(REGISTRY))
    try:
        made.up()
        yield made
    finally:
        made.close()


def done(desk: Desk, *arguments: str) -> str:
    """What a command prints that succeeds."""
    found = desk.run(*arguments)
    assert found.exit_code == 0, found.output
    return found.stdout


def shown(desk: Desk, request: str) -> dict[str, Any]:
    """A request."""
    found: dict[str, Any] = json.loads(done(desk, "privacy", "show", request, "--json"))
    return found


def task_of(desk: Desk, request: str, kind: str) -> str:
    """What the people of the archive are asked, once they are."""

    def asked() -> str:
        tasks = [each for each in shown(desk, request).get("tasks", []) if each["participant"] == "archive"]
        return next((each["task_id"] for each in tasks if each["kind"] == f"PRIVACY_TASK_KIND_{kind}"), "")

    return eventually_sync(asked, PATIENCE_S)


def test_what_an_officer_hands_in_is_in_the_package_and_what_was_done_in_the_certificate(
    office: Desk, tmp_path: Path
) -> None:
    done(office, "login", "first", "--role", "officer")
    rights = ("--right", "access", "--right", "erasure")
    request = done(office, "privacy", "open", *rights, "--profile", new_id("profile"), "--market", "DE").strip()
    done(office, "privacy", "verify", request, "--document", "PASSPORT")
    done(office, "login", "second", "--role", "officer")
    approve = ("privacy", "approve", request, "--reason", "checked")
    eventually_sync(lambda: office.run(*approve).exit_code == 0, PATIENCE_S)

    task = task_of(office, request, "ACCESS")
    answer = ("privacy", "answer", request, task, "--evidence", "box 7", "--store", "boxes:2:2", "--records")
    lines = tmp_path / "boxes.jsonl"
    lines.write_text('{"store": "boxes", "record_id": "b-1", "data": {}}\n{"store": \n')
    refused = office.run(*answer, str(lines))
    assert refused.exit_code == 1
    assert "RECORDS_MALFORMED" in refused.stderr
    assert "line: 2" in refused.stderr
    lines.write_text('{"store": "boxes", "record_id": "b-1", "data": {}}\n')
    assert "RECORDS_MISCOUNTED" in office.run(*answer, str(lines)).stderr
    assert "RECORDS_MISCOUNTED" in office.run(*answer[:-1]).stderr
    table = tmp_path / "boxes.csv"
    table.write_text(TABLE)
    assert "archive" in done(office, *answer, str(table))
    assert "TASK_NOT_FOUND" in office.run(*answer, str(table)).stderr

    erased = ("--evidence", "shredded, protocol 9", "--store", "boxes:2:2")
    done(office, "privacy", "answer", request, task_of(office, request, "ERASE"), *erased)
    done(office, "privacy", "answer", request, task_of(office, request, "PROBE"), "--evidence", "the box is gone")
    eventually_sync(lambda: shown(office, request)["state"] == "PRIVACY_REQUEST_STATE_COMPLETED", PATIENCE_S)

    package = tmp_path / "package.zip"
    done(office, "privacy", "package", request, str(package), "--right", "access")
    with ZipFile(package) as archive:
        first, second = json.loads(archive.read("data/archive/boxes.json"))
        rows = archive.read("data/archive/boxes.csv").decode()
    assert (first["record_id"], first["recorded_at"][:19]) == ("b-1", "2026-01-02T03:04:05")
    assert (second["record_id"], second["data"]["note"]) == ("b-2", 'said "no"')
    assert "Eva" not in rows + json.dumps(second)
    assert "'=cmd()" in rows
    certificate = tmp_path / "certificate.json"
    done(office, "privacy", "certificate", request, str(certificate))
    document = json.loads(b64decode(json.loads(certificate.read_text())["document"]))
    (people,) = [each for each in document["answers"] if each["participant"] == "archive"]
    assert (people["confirmed_by"], people["stores"]) == (
        "second",
        [{"store": "boxes", "found": "2", "erased": "2"}],
    )


def test_a_table_becomes_lines_and_a_file_of_lines_stays_as_it_is(tmp_path: Path) -> None:
    table = tmp_path / "many.CSV"
    rows = "\ufeffstore,note\r\nattic,\u039a\u03b1\r\n,x\r\n" + 9000 * f"boxes,{'y' * 60}\r\n"
    table.write_text(rows, encoding="utf-8")
    pieces = list(pieces_of(table, "cellar"))
    assert max(map(len, pieces)) < 2 * PIECE
    records = [json.loads(line) for line in b"".join(pieces).splitlines()]
    assert len(records) == 9002
    assert records[:2] == [
        {"store": "attic", "record_id": "1", "data": {"note": "\u039a\u03b1"}},
        {"store": "cellar", "record_id": "2", "data": {"note": "x"}},
    ]
    plain = tmp_path / "records.jsonl"
    plain.write_bytes(b"{}\n" * PIECE)
    assert b"".join(pieces_of(plain, "")) == plain.read_bytes()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"store,note\na,b\na,b,c\n", "line 3 of some.csv has more cells"),
        (b"note\nb\n", "line 2 of some.csv says no store"),
        (b'store,note\na,"b\n', "some.csv is no table after line 1"),
        (b"store,note\na,\xff\n", "some.csv is no table"),
    ],
)
def test_a_table_that_is_none_is_refused_by_its_line_before_anything_is_sent(
    tmp_path: Path, content: bytes, words: str
) -> None:
    table = tmp_path / "some.csv"
    table.write_bytes(content)
    with pytest.raises(click.UsageError, match=words):
        list(pieces_of(table, ""))
