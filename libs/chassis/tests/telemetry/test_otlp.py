from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
import structlog
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from rapport_chassis.settings import TelemetrySettings
from rapport_chassis.telemetry.logs import configure_logging, get_logger
from rapport_chassis.telemetry.names import Attribute, CounterName, GaugeName, HistogramName, SpanName
from rapport_chassis.telemetry.setup import Telemetry

WORK = SpanName("work", "A piece of work.")
ANSWER = Attribute("answer", "What was answered.")
CHECKS = CounterName("checks", "{check}", "Checks answered.", (ANSWER,))
LAG = GaugeName("lag", "s", "Age of the oldest row.")
TOOK = HistogramName("took", "s", "Time it took.", bounds=(1.0, 2.0))


class Collector(
    trace_service_pb2_grpc.TraceServiceServicer,
    metrics_service_pb2_grpc.MetricsServiceServicer,
    logs_service_pb2_grpc.LogsServiceServicer,
):
    """Keeps what is sent to it."""

    def __init__(self) -> None:
        self.requests: list[Any] = []

    def Export(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return {
            trace_service_pb2.ExportTraceServiceRequest: trace_service_pb2.ExportTraceServiceResponse,
            metrics_service_pb2.ExportMetricsServiceRequest: metrics_service_pb2.ExportMetricsServiceResponse,
            logs_service_pb2.ExportLogsServiceRequest: logs_service_pb2.ExportLogsServiceResponse,
        }[type(request)]()

    def received(self, kind: type[Any]) -> list[Any]:
        return [request for request in self.requests if isinstance(request, kind)]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that the standard variables point to."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(max_workers=2), options=[("grpc.so_reuseport", 0)])
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(collector, server)
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield collector
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)
    server.stop(0).wait()


def test_spans_metrics_and_logs_go_to_the_collector(collector: Collector) -> None:
    telemetry = Telemetry.start(TelemetrySettings(), service="sample", version="1.2.3", environment="test")
    configure_logging("sample", "1.2.3", telemetry=telemetry, stream=io.StringIO())
    telemetry.meter.counter(CHECKS).of("deny").add(3)
    telemetry.meter.gauge(LAG).of().set(0.5)
    telemetry.meter.histogram(TOOK).of().record(1.5)
    with telemetry.tracer.span(WORK) as span:
        get_logger().warning("consent_recorded", position=7, email="zoe@example.org")
    telemetry.shutdown()

    (traces,) = collector.received(trace_service_pb2.ExportTraceServiceRequest)
    (sent,) = traces.resource_spans[0].scope_spans[0].spans
    assert (sent.name, int.from_bytes(sent.span_id, "big")) == ("work", span.context.span_id)
    resource = {pair.key: pair.value.string_value for pair in traces.resource_spans[0].resource.attributes}
    assert (resource["service.name"], resource["service.version"]) == ("sample", "1.2.3")

    *_, last = collector.received(metrics_service_pb2.ExportMetricsServiceRequest)
    metrics = {metric.name: metric for metric in last.resource_metrics[0].scope_metrics[0].metrics}
    assert metrics["checks"].sum.is_monotonic
    assert [point.as_int for point in metrics["checks"].sum.data_points] == [3]
    assert metrics["checks"].sum.data_points[0].attributes[0].value.string_value == "deny"
    assert metrics["lag"].gauge.data_points[0].as_double == 0.5
    assert list(metrics["took"].histogram.data_points[0].bucket_counts) == [0, 1, 0]
    assert metrics["rapport.log.dropped_keys"].sum.data_points[0].as_int == 1

    (logs,) = collector.received(logs_service_pb2.ExportLogsServiceRequest)
    (record,) = logs.resource_logs[0].scope_logs[0].log_records
    assert (record.event_name, record.severity_text) == ("consent_recorded", "warning")
    assert int.from_bytes(record.trace_id, "big") == span.context.trace_id
    assert {pair.key: pair.value.int_value for pair in record.attributes} == {"position": 7}
    assert b"example.org" not in b"".join(request.SerializeToString() for request in collector.requests)


def test_spans_are_sent_in_small_batches(collector: Collector) -> None:
    telemetry = Telemetry.start(TelemetrySettings(), service="sample", version="1", environment="test")
    for _ in range(100):
        with telemetry.tracer.span(WORK):
            pass
    telemetry.shutdown()
    requests = collector.received(trace_service_pb2.ExportTraceServiceRequest)
    sizes = [len(request.resource_spans[0].scope_spans[0].spans) for request in requests]
    assert sum(sizes) == 100
    assert max(sizes) <= 32
