from __future__ import annotations

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.settings import TelemetrySettings
from rapport_chassis.telemetry.conventions import DESTINATION, MESSAGE_PROCESS, RPC_SERVER, RPC_STATUS
from rapport_chassis.telemetry.names import SpanName
from rapport_chassis.telemetry.propagation import extract, inject, parse_traceparent
from rapport_chassis.telemetry.setup import PRODUCTION_SAMPLING, Environment, Telemetry
from rapport_chassis.telemetry.tracing import current_context

CHECK = RPC_SERVER.fill(method="sample.v1.SampleService/Check")
WORK = SpanName("work", "A piece of work.")
SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
CANARY = "Zoë O'Canary"


def test_a_span_is_recorded_as_declared_and_under_its_caller(
    telemetry: Telemetry, recorded: InMemorySpanExporter
) -> None:
    with telemetry.tracer.span(CHECK, parent=parse_traceparent(SAMPLED)) as span:
        span.set(RPC_STATUS, "OK")
        with telemetry.tracer.span(WORK):
            pass
    work, check = recorded.get_finished_spans()
    assert (check.name, check.kind) == ("sample.v1.SampleService/Check", SpanKind.SERVER)
    assert f"{check.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert check.parent is not None
    assert f"{check.parent.span_id:016x}" == "b7ad6b7169203331"
    assert dict(check.attributes or {}) == {"rpc.response.status_code": "OK"}
    assert check.resource.attributes["service.name"] == "sample"
    assert check.resource.attributes["service.version"] == "1.2.3"
    assert work.parent is not None
    assert work.parent.span_id == check.context.span_id


def test_an_unsampled_call_is_not_recorded_but_names_its_trace(
    telemetry: Telemetry, recorded: InMemorySpanExporter
) -> None:
    with telemetry.tracer.span(CHECK, parent=parse_traceparent(UNSAMPLED)) as outer:
        assert not outer.recording
        with telemetry.tracer.span(WORK) as inner:
            outgoing = extract(inject())
    assert recorded.get_finished_spans() == ()
    assert outgoing is not None
    assert f"{outgoing.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert outgoing.span_id == inner.context.span_id != outer.context.span_id
    assert not outgoing.trace_flags.sampled


@pytest.mark.parametrize("producers", [[SAMPLED], [UNSAMPLED, SAMPLED]])
def test_a_consumer_is_a_trace_of_its_own_linked_to_its_producers_and_sampled_with_them(
    producers: list[str], recorded: InMemorySpanExporter
) -> None:
    telemetry = Telemetry.start(
        TelemetrySettings(sampling=0), service="sample", version="1", environment="test", span_exporter=recorded
    )
    links = [context for context in map(parse_traceparent, producers) if context]
    with telemetry.tracer.span(MESSAGE_PROCESS.fill(destination="X"), links=links, attributes={DESTINATION: "X"}):
        pass
    with telemetry.tracer.span(WORK):
        pass
    (span,) = recorded.get_finished_spans()
    assert span.parent is None
    assert span.context.trace_id != links[0].trace_id
    assert [link.context for link in span.links] == links
    assert dict(span.attributes or {}) == {DESTINATION: "X"}
    telemetry.shutdown()


@pytest.mark.parametrize(("environment", "share"), [("production", PRODUCTION_SAMPLING), ("local", 1.0), ("test", 1.0)])
def test_new_traces_are_sampled_by_environment(environment: Environment, share: float) -> None:
    exporter = InMemorySpanExporter()
    telemetry = Telemetry.start(
        TelemetrySettings(), service="sample", version="1", environment=environment, span_exporter=exporter
    )
    number = 4000
    for _ in range(number):
        with telemetry.tracer.span(WORK):
            pass
    telemetry.shutdown()
    assert abs(len(exporter.get_finished_spans()) / number - share) < 0.03  # nine standard deviations


def test_the_standard_variable_sets_the_sampling_and_the_setting_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    for setting, expected in ((None, 0), (1.0, 1)):
        exporter = InMemorySpanExporter()
        telemetry = Telemetry.start(
            TelemetrySettings(sampling=setting), service="s", version="1", environment="local", span_exporter=exporter
        )
        with telemetry.tracer.span(WORK):
            pass
        telemetry.shutdown()
        assert len(exporter.get_finished_spans()) == expected


@pytest.mark.parametrize(
    ("error", "reason"),
    [(ValueError(CANARY), "ValueError"), (CHASSIS_ERRORS.error("OVERLOADED", CANARY), "OVERLOADED")],
)
def test_a_failure_leaves_its_reason_and_never_its_text(
    error: Exception, reason: str, telemetry: Telemetry, recorded: InMemorySpanExporter
) -> None:
    with pytest.raises(type(error)), telemetry.tracer.span(WORK):
        raise error
    (span,) = recorded.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert dict(span.attributes or {}) == {"error.type": reason}
    assert "Canary" not in span.to_json()


def test_the_first_reason_of_a_failure_stays(telemetry: Telemetry, recorded: InMemorySpanExporter) -> None:
    with telemetry.tracer.span(WORK) as span:
        span.fail("OVERLOADED")
        span.fail("INTERNAL")
    assert dict(recorded.get_finished_spans()[0].attributes or {}) == {"error.type": "OVERLOADED"}


def test_a_span_that_is_only_started_is_never_current(telemetry: Telemetry, recorded: InMemorySpanExporter) -> None:
    span = telemetry.tracer.span(WORK)
    assert current_context() is None
    assert inject() == {}
    span.end()
    assert len(recorded.get_finished_spans()) == 1


def test_the_current_span_is_the_one_other_instrumentation_sees(telemetry: Telemetry) -> None:
    with telemetry.tracer.span(WORK) as span:
        assert get_current_span().get_span_context() == span.context == current_context()
    assert current_context() is None


def test_telemetry_that_is_off_still_hands_the_trace_on() -> None:
    telemetry = Telemetry.off()
    with telemetry.tracer.span(CHECK, parent=parse_traceparent(SAMPLED)) as span:
        assert not span.recording
        assert inject()["traceparent"].startswith("00-0af7651916cd43dd8448eb211c80319c-")
    telemetry.shutdown()
