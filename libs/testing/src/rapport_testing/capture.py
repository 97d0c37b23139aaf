"""What a process tells about itself, kept in memory: spans, metrics and log lines; and what must not be in it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, Protocol

import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from rapport_chassis.settings import TelemetrySettings
from rapport_chassis.telemetry.metrics import HistogramSeries
from rapport_chassis.telemetry.setup import Telemetry


class HasText(Protocol):
    """Anything captured that can be searched."""

    def text(self) -> str:
        """Return everything captured."""
        ...


class TelemetryCapture:
    """Telemetry of a test, whose spans are kept as they end and whose metrics can be read any time."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.telemetry = Telemetry.start(
            TelemetrySettings(sampling=1), service="test", version="0", environment="test", span_exporter=self._exporter
        )

    def spans(self, name: str | None = None) -> list[ReadableSpan]:
        """Return the ended spans, oldest first, all or those of one name."""
        return [span for span in self._exporter.get_finished_spans() if name is None or span.name == name]

    def metrics(self) -> dict[str, list[dict[str, Any]]]:
        """Return for each metric its points, each with its attributes and its value, or its count and sum."""
        points: dict[str, list[dict[str, Any]]] = {}
        for sample in self.telemetry.meter.samples():
            series = sample.series
            measured = (
                {"count": sum(series.counts), "sum": series.total}
                if isinstance(series, HistogramSeries)
                else {"value": series.value}
            )
            points.setdefault(sample.name.name, []).append({"attributes": sample.attributes, **measured})
        return points

    def text(self) -> str:
        """Return all spans and metrics as they would be exported, for a search."""
        lines = [span.to_json(indent=None) for span in self.spans()]
        lines += [json.dumps({name: points}, ensure_ascii=False) for name, points in self.metrics().items()]
        return "\n".join(lines)

    def shutdown(self) -> None:
        """Let go of what was captured."""
        self.telemetry.shutdown()


class LogCapture:
    """Structured log events, as they are just before they are written as a line: filtered and completed."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Keep the event and hand it on: this object is a processor of structlog."""
        self.events.append(dict(event))
        return event

    def named(self, name: str) -> list[dict[str, Any]]:
        """Return the events of one name."""
        return [event for event in self.events if event.get("event") == name]

    def text(self) -> str:
        """Return all events as JSON lines, for a search."""
        return "\n".join(json.dumps(event, default=str, ensure_ascii=False) for event in self.events)


@contextlib.contextmanager
def captured_logs() -> Iterator[LogCapture]:
    """Capture what is logged through structlog in this block, with the processors that are configured."""
    capture = LogCapture()
    # The list itself is changed, because loggers that have been used hold on to it.
    processors = structlog.get_config()["processors"]
    processors.insert(max(len(processors) - 1, 0), capture)
    try:
        yield capture
    finally:
        processors.remove(capture)


def assert_absent(canary: str, *captures: HasText | str | bytes | Path) -> None:
    """Assert that a planted text is nowhere in what was captured: texts, bytes, files, whole folders, captures.

    It is looked for as it is and as JSON escapes it.

    Raises:
        AssertionError: It was found, or there was nothing at all to search, which would prove nothing.
    """
    escaped = (json.dumps(canary, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))
    forms = {form.encode() for form in (canary, *escaped)}
    searched = 0
    for place, content in _contents(captures):
        searched += len(content)
        for form in forms:
            at = content.find(form)
            if at >= 0:
                around = content[max(at - 80, 0) : at + len(form) + 80].decode(errors="replace")
                raise AssertionError(f"{canary!r} was found in {place}: …{around}…")
    assert searched, "nothing was captured, so nothing can be absent"


def _contents(captures: tuple[HasText | str | bytes | Path, ...]) -> Iterator[tuple[str, bytes]]:
    for capture in captures:
        if isinstance(capture, bytes):
            yield "bytes", capture
        elif isinstance(capture, str):
            yield "a text", capture.encode()
        elif isinstance(capture, Path):
            for path in [capture] if capture.is_file() else sorted(capture.rglob("*")):
                if path.is_file():
                    yield str(path), path.read_bytes()
        else:
            yield type(capture).__name__, capture.text().encode()
