"""Logs for a person: one line per event, several files in order of time, followed as they grow."""

from __future__ import annotations

import json
from pathlib import Path

from rapport_local.doctor_live import checks_that_fail
from rapport_local.log_view import LogFile, follow, last_lines


def event(at: str, name: str, **values: object) -> str:
    line = {"time": f"2026-01-01T{at}+00:00", "level": "info", "event": name, "service": "consent", "version": "1"}
    return json.dumps({**line, **values}) + "\n"


def test_a_line_says_when_who_what_and_with_which_values(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(event("10:00:00.5", "call_refused", reason="X", trace_id="ab" * 16))
    (line,) = last_lines([LogFile("consent", tmp_path / "log")], 10)
    assert line.text().plain == "10:00:00 consent   info     call_refused reason=X trace abababab"


def test_what_is_no_json_is_shown_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("Traceback (most recent call last):\n{broken\n")
    texts = [line.text().plain for line in last_lines([LogFile("consent", tmp_path / "log")], 10)]
    assert [text.split(maxsplit=1)[1] for text in texts] == ["Traceback (most recent call last):", "{broken"]


def test_several_logs_are_shown_in_order_of_time(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(event("10:00:01", "second") + event("10:00:03", "fourth"))
    (tmp_path / "b").write_text(event("10:00:00", "first") + event("10:00:02", "third"))
    lines = last_lines([LogFile("a", tmp_path / "a"), LogFile("b", tmp_path / "b")], 3)
    assert [json.loads(line.raw)["event"] for line in lines] == ["second", "third", "fourth"]


def test_following_shows_whole_lines_only_and_a_file_that_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(event("10:00:00", "old"))
    file = LogFile("consent", path)
    last_lines([file], 0)
    lines = follow([file])
    with path.open("a") as log:
        log.write(event("10:00:01", "new") + '{"half')
    assert json.loads(next(lines).raw)["event"] == "new"
    assert file.new_lines() == []
    path.write_text(event("10:00:02", "anew"))
    assert json.loads(next(lines).raw)["event"] == "anew"


def test_the_doctor_reads_which_checks_fail_since_the_last_start(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(
        event("10:00:00", "check_failed", role="api", check="before", reason="OLD")
        + event("10:00:01", "grpc_serving")
        + event("10:00:02", "check_failed", role="relay", check="relay", reason="BROKER_UNAVAILABLE")
        + event("10:00:03", "check_failed", role="api", check="database", reason="NOT_READY")
        + event("10:00:04", "check_passed", role="api", check="database")
    )
    assert checks_that_fail(path) == {("relay", "relay"): "BROKER_UNAVAILABLE"}
