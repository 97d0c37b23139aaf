"""Telemetry whose recorded spans stay in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from rapport_chassis.settings import TelemetrySettings
from rapport_chassis.telemetry.setup import Telemetry


@pytest.fixture
def recorded() -> InMemorySpanExporter:
    """The spans recorded by `telemetry`."""
    return InMemorySpanExporter()


@pytest.fixture
def telemetry(recorded: InMemorySpanExporter) -> Iterator[Telemetry]:
    """Telemetry that records every new trace."""
    made = Telemetry.start(
        TelemetrySettings(sampling=1), service="sample", version="1.2.3", environment="test", span_exporter=recorded
    )
    yield made
    made.shutdown()
