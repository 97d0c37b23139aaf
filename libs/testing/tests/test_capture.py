from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from rapport_chassis.telemetry.names import Attribute, CounterName, HistogramName, SpanName
from rapport_testing.capture import LogCapture, TelemetryCapture, assert_absent, captured_logs

OUTER, INNER = SpanName("outer", "An outer span."), SpanName("inner", "An inner span.")
ANSWER = Attribute("answer", "What was answered.")
CHECKS = CounterName("checks", "{check}", "Checks answered.", (ANSWER,))
TOOK = HistogramName("took", "s", "Time it took.")
CANARY = 'Zoë "O\'Canary"'


def test_spans_are_kept_with_everything_in_them(telemetry_capture: TelemetryCapture) -> None:
    tracer = telemetry_capture.telemetry.tracer
    with tracer.span(OUTER) as outer, tracer.span(INNER):
        outer.set(ANSWER, CANARY)
    assert [span.name for span in telemetry_capture.spans()] == ["inner", "outer"]
    (inner,) = telemetry_capture.spans("inner")
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id
    with pytest.raises(AssertionError, match="TelemetryCapture"):
        assert_absent(CANARY, telemetry_capture)


def test_metrics_are_read_with_their_attributes(telemetry_capture: TelemetryCapture) -> None:
    meter = telemetry_capture.telemetry.meter
    meter.counter(CHECKS).of("deny").add(2)
    meter.counter(CHECKS).of("deny").add()
    meter.histogram(TOOK).of().record(0.5)
    metrics = telemetry_capture.metrics()
    assert metrics["checks"] == [{"attributes": {"answer": "deny"}, "value": 3}]
    assert metrics["took"] == [{"attributes": {}, "count": 1, "sum": 0.5}]
    meter.counter(CHECKS).of(CANARY).add()
    with pytest.raises(AssertionError, match="was found"):
        assert_absent(CANARY, telemetry_capture)


def test_log_events_are_kept_while_captured(log_capture: LogCapture) -> None:
    structlog.get_logger().info("granted", position=7)
    (event,) = log_capture.named("granted")
    assert (event["position"], event["level"]) == (7, "info")
    assert_absent(CANARY, log_capture)


def test_log_events_are_seen_as_the_processors_leave_them() -> None:
    def forget(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event.pop("secret", None)
        return event

    processors = structlog.get_config()["processors"]
    processors.insert(0, forget)
    try:
        with captured_logs() as capture:
            structlog.get_logger().info("granted", secret=CANARY)
    finally:
        processors.remove(forget)
    assert_absent(CANARY, capture)
    assert capture not in processors


def test_a_canary_is_found_wherever_it_is(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "log").write_text('{"name": "Zo\\u00eb \\"O\'Canary\\""}')
    assert_absent(CANARY, "nothing", b"nothing")
    for hiding in (f"<{CANARY}>", CANARY.encode(), tmp_path, tmp_path / "deep" / "log"):
        with pytest.raises(AssertionError, match="was found in"):
            assert_absent(CANARY, "nothing", hiding)


def test_a_search_through_nothing_proves_nothing(tmp_path: Path, telemetry_capture: TelemetryCapture) -> None:
    for nothing in ((), (tmp_path,), ("", b""), (telemetry_capture,)):
        with pytest.raises(AssertionError, match="nothing was captured"):
            assert_absent(CANARY, *nothing)
