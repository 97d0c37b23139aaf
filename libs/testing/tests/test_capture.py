from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from rapport_testing.capture import LogCapture, TelemetryCapture, assert_absent, captured_logs

CANARY = 'Zoë "O\'Canary"'


def test_spans_are_kept_with_everything_in_them(telemetry_capture: TelemetryCapture) -> None:
    tracer = telemetry_capture.tracer_provider.get_tracer("test")
    with tracer.start_as_current_span("outer") as outer, tracer.start_as_current_span("inner"):
        outer.add_event("noted", {"detail": CANARY})
    assert [span.name for span in telemetry_capture.spans()] == ["inner", "outer"]
    (inner,) = telemetry_capture.spans("inner")
    assert inner.parent is not None
    assert inner.parent.span_id == outer.get_span_context().span_id
    with pytest.raises(AssertionError, match="TelemetryCapture"):
        assert_absent(CANARY, telemetry_capture)


def test_metrics_are_read_with_their_attributes(telemetry_capture: TelemetryCapture) -> None:
    counter = telemetry_capture.meter_provider.get_meter("test").create_counter("checks")
    counter.add(2, {"answer": "deny"})
    counter.add(1, {"answer": "deny"})
    (point,) = telemetry_capture.metrics()["checks"]
    assert (point["value"], point["attributes"]) == (3, {"answer": "deny"})
    counter.add(1, {"answer": CANARY})
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
