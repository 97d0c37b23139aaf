"""Starting and stopping telemetry: who receives spans and metrics, and how many traces are recorded."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

from rapport_chassis.settings import TelemetrySettings
from rapport_chassis.telemetry.metrics import Meter
from rapport_chassis.telemetry.metrics_export import MetricsExport, SnapshotFile
from rapport_chassis.telemetry.span_file import SpanFile
from rapport_chassis.telemetry.tracing import Tracer

if TYPE_CHECKING:
    from rapport_chassis.telemetry.otlp import OtlpLogs

Environment = Literal["local", "test", "production"]

PRODUCTION_SAMPLING = 0.05
_SCOPE = "rapport_chassis"
_LIMITS = SpanLimits(
    max_span_attributes=32, max_span_attribute_length=200, max_events=0, max_links=128, max_link_attributes=0
)


class Telemetry:
    """The tracer and the meter of one process, with what carries their data away."""

    def __init__(
        self,
        tracer: Tracer,
        meter: Meter,
        *,
        service: str,
        version: str,
        log_sink: OtlpLogs | None = None,
        closers: tuple[Callable[[], None], ...] = (),
    ) -> None:
        self.tracer = tracer
        self.meter = meter
        self.service = service
        self.version = version
        self.log_sink = log_sink
        self._closers = closers

    @classmethod
    def off(cls) -> Telemetry:
        """Telemetry that records no span and exports no metric, for tests and short commands."""
        return cls(Tracer(None, 0), Meter(), service="", version="")

    @classmethod
    def start(
        cls,
        settings: TelemetrySettings,
        *,
        service: str,
        version: str,
        environment: Environment,
        span_exporter: SpanExporter | None = None,
    ) -> Telemetry:
        """Start recording.

        Spans and metrics go to the collector at `OTEL_EXPORTER_OTLP_ENDPOINT` (the other standard `OTEL_*`
        variables hold too), else to files in `settings.folder`, else nowhere.

        Args:
            settings: folder and sampling.
            service: name of the service, as others see it.
            version: its release.
            environment: decides the default sampling: 5 % in production, else all.
            span_exporter: receives every recorded span at once instead, for captures.
        """
        meter = Meter()
        resource = Resource.create(
            {"service.name": service, "service.version": version, "deployment.environment.name": environment}
        )
        processor: SpanProcessor | None = None
        metrics: MetricsExport | None = None
        logs: OtlpLogs | None = None
        if span_exporter is not None:
            processor = SimpleSpanProcessor(span_exporter)
        elif os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
            from rapport_chassis.telemetry import otlp  # slow to import, and needed with a collector only

            processor, logs = otlp.otlp_spans(), otlp.OtlpLogs(resource)
            metrics = MetricsExport(otlp.OtlpMetrics(resource), meter)
        elif settings.folder is not None:
            processor = SpanFile(settings.folder, meter, service=service, version=version)
            metrics = MetricsExport(SnapshotFile(settings.folder, service), meter)

        closers: list[Callable[[], None]] = []
        tracer = Tracer(None, 0)
        if processor is not None:
            provider = TracerProvider(
                resource=resource,
                sampler=ParentBased(ALWAYS_ON),  # new traces are decided in Tracer, before the SDK is asked
                span_limits=_LIMITS,
                shutdown_on_exit=False,
            )
            provider.add_span_processor(processor)
            closers.append(provider.shutdown)
            sampling = sampling_ratio(settings.sampling, environment, os.environ)
            tracer = Tracer(provider.get_tracer(_SCOPE, version), sampling)
        if metrics is not None:
            metrics.start()
            closers.append(metrics.stop)
        if logs is not None:
            closers.append(logs.close)
        return cls(tracer, meter, service=service, version=version, log_sink=logs, closers=tuple(closers))

    def shutdown(self) -> None:
        """Write or send what waits and stop. Blocks for as long as a collector takes to answer, at most 10 s."""
        for close in self._closers:
            close()


def sampling_ratio(setting: float | None, environment: Environment, variables: Mapping[str, str]) -> float:
    """Share of new traces to record: the setting, else `OTEL_TRACES_SAMPLER_ARG`, else by environment.

    Raises:
        ValueError: the variable is not a number.
    """
    if setting is not None:
        return setting
    if argument := variables.get("OTEL_TRACES_SAMPLER_ARG"):
        return min(1.0, max(0.0, float(argument)))
    return PRODUCTION_SAMPLING if environment == "production" else 1.0
