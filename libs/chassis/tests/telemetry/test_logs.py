from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.telemetry.log_filter import LOG_KEYS, bounded, filtered
from rapport_chassis.telemetry.logs import configure_logging, get_logger
from rapport_chassis.telemetry.names import Attribute, SpanName
from rapport_chassis.telemetry.setup import Telemetry

CANARY = "zoe.o'canary@example.org"
WORK = SpanName("work", "A piece of work.")


@pytest.fixture
def lines(telemetry: Telemetry) -> Iterator[io.StringIO]:
    """Where the lines go while logging is configured for one test."""
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logging("sample", "1.2.3", telemetry=telemetry, keys=[Attribute("purpose", "A purpose.")], stream=stream)
    yield stream
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def parsed(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_where_and_in_which_trace(lines: io.StringIO, telemetry: Telemetry) -> None:
    with telemetry.tracer.span(WORK) as span:
        get_logger().info("consent_recorded", position=7, purpose="newsletter")
    (line,) = parsed(lines)
    assert datetime.fromisoformat(line.pop("time")).tzinfo is UTC
    assert line == {
        "level": "info",
        "event": "consent_recorded",
        "service": "sample",
        "version": "1.2.3",
        "trace_id": f"{span.context.trace_id:032x}",
        "span_id": f"{span.context.span_id:016x}",
        "position": 7,
        "purpose": "newsletter",
    }


def test_undeclared_keys_are_dropped_and_counted(lines: io.StringIO, telemetry: Telemetry) -> None:
    get_logger().warning("consent_recorded", email=CANARY, name="Zoë", count=1)
    (line,) = parsed(lines)
    assert (line["count"], line["dropped_keys"]) == (1, 2)
    assert CANARY not in lines.getvalue()
    (dropped,) = [
        sample.series for sample in telemetry.meter.samples() if sample.name.name == "rapport.log.dropped_keys"
    ]
    assert getattr(dropped, "value", None) == 2


def test_an_exception_is_told_by_class_reason_and_our_frames(lines: io.StringIO) -> None:
    def fail() -> None:
        try:
            bounded(1)
            json.loads("{" + CANARY)
        except ValueError as error:
            raise CHASSIS_ERRORS.error("OVERLOADED", CANARY) from error

    try:
        configure_logging("sample", "1.2.3", stream=lines, telemetry=None, level="nonsense")
    except KeyError:
        get_logger().exception("start_failed")
    with pytest.raises(Exception, match="OVERLOADED") as caught:
        fail()
    get_logger().error("call_failed", exc_info=caught.value)
    first, second = parsed(lines)
    assert first["error"] == "KeyError"
    assert [frame.split(":")[0] for frame in first["frames"]] == ["rapport_chassis/telemetry/logs.py"]
    assert (second["error"], second["caused_by"]) == ("OVERLOADED", ["JSONDecodeError"])
    assert "canary" not in lines.getvalue()


def test_libraries_are_heard_without_their_texts(lines: io.StringIO) -> None:
    library = logging.getLogger("a.library")
    library.info("below the level")
    library.error("%s could not be reached", CANARY, exc_info=ConnectionError(CANARY))
    library.warning(f"hello {CANARY}")
    first, second = parsed(lines)
    assert (first["event"], first["level"], first["library"]) == ("library_event", "error", "a.library")
    assert first["error"] == "ConnectionError"
    assert first["source"].startswith("test_logs:")
    assert second["level"] == "warning"
    assert "canary" not in lines.getvalue()


def test_an_event_that_is_no_code_is_not_written(lines: io.StringIO) -> None:
    get_logger().info(f"hello {CANARY}")
    assert parsed(lines)[0]["event"] == "unnamed_event"
    assert "canary" not in lines.getvalue()


class Unprintable:
    def __repr__(self) -> str:
        return CANARY


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
hidden = st.builds(lambda before, after: f"{before}{CANARY}{after}", st.text(), st.text())
careless = st.recursive(
    hidden | st.just(Unprintable()) | hidden.map(ValueError) | hidden.map(str.encode) | plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(LOG_KEYS) | st.text(), careless, max_size=4))
def test_nothing_personal_gets_through_whatever_is_logged(values: dict[str, Any]) -> None:
    kept, dropped = filtered(values, frozenset(LOG_KEYS))
    assert "canary" not in json.dumps(kept)
    assert len(kept) + dropped == len(values)
    assert set(kept) <= set(LOG_KEYS)


@given(st.text())
def test_only_codes_are_kept_as_they_are(text: str) -> None:
    value = bounded(text)
    assert value == text or value == f"<text {len(text)}>"
    assert value != text or (len(text) <= 200 and not any(sign.isspace() or sign in "@+'\"" for sign in text))


def test_logging_goes_on_when_nobody_reads(lines: io.StringIO) -> None:
    lines.close()
    get_logger().info("consent_recorded")


CRASH = f"""
import asyncio, sys, threading
from rapport_chassis.telemetry.logs import configure_logging, guard_loop, guard_process
configure_logging("sample", "1")
guard_process()
async def forget():
    guard_loop(asyncio.get_running_loop())
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
asyncio.run(forget())
thread = threading.Thread(target=lambda: {{}}[{CANARY!r}])
thread.start()
thread.join()
raise ValueError({CANARY!r})
"""


def test_a_crash_is_a_line_and_not_a_traceback() -> None:
    ended = subprocess.run([sys.executable, "-c", CRASH], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr == ""
    told = [(line["event"], line["error"]) for line in map(json.loads, ended.stdout.splitlines())]
    assert told == [
        ("task_failed", "ZeroDivisionError"),
        ("thread_crashed", "KeyError"),
        ("process_crashed", "ValueError"),
    ]
    assert "canary" not in ended.stdout
