from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanContext
from rapport_chassis.settings import TelemetrySettings
from rapport_chassis.telemetry.conventions import DROPPED_SPANS
from rapport_chassis.telemetry.metrics import Meter
from rapport_chassis.telemetry.names import Attribute, SpanName
from rapport_chassis.telemetry.setup import Telemetry
from rapport_chassis.telemetry.span_file import SpanFile, read_spans, recent_traces
from rapport_chassis.telemetry.tracing import Span, Tracer
from rapport_testing.waiting import eventually

WORK = SpanName("work", "A piece of work.")
PUBLISH = SpanName("publish X", "An event goes out.")
PROCESS = SpanName("process X", "An event is handled.")
NOTE = Attribute("note", "Anything.")


def started(folder: Path, service: str) -> Telemetry:
    return Telemetry.start(TelemetrySettings(folder=folder), service=service, version="1", environment="test")


def hexadecimal(context: SpanContext) -> str:
    return f"{context.trace_id:032x}"


async def test_the_running_loop_writes_spans_soon_without_being_asked(tmp_path: Path) -> None:
    telemetry = started(tmp_path, "sample")
    for _ in range(3):
        with telemetry.tracer.span(WORK) as span:
            span.set(NOTE, "código")
    (found,) = await eventually(lambda: read_spans([tmp_path], hexadecimal(span.context)))
    assert (found.service, found.name, found.attributes) == ("sample", "work", {"note": "código"})
    assert 0 <= found.duration_ms < 10_000
    assert len(recent_traces([tmp_path])) == 3
    telemetry.shutdown()


async def test_many_spans_are_encoded_in_slices_between_which_the_loop_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks: list[int] = []
    append = SpanFile._append

    def watched(file: SpanFile, block: bytes) -> None:
        blocks.append(block.count(b"\n"))
        append(file, block)

    monkeypatch.setattr(SpanFile, "_append", watched)
    telemetry = started(tmp_path, "sample")
    for _ in range(3000):
        with telemetry.tracer.span(WORK):
            pass
    await eventually(lambda: sum(blocks) == 3000)
    assert max(blocks) < 1000
    telemetry.shutdown()
    assert len(recent_traces([tmp_path], limit=5000)) == 3000


def test_each_event_loop_of_a_process_writes(tmp_path: Path) -> None:
    telemetry = started(tmp_path, "sample")

    async def work(wait: bool) -> None:
        with telemetry.tracer.span(WORK) as span:
            pass
        if wait:
            await eventually(lambda: read_spans([tmp_path], hexadecimal(span.context)))

    asyncio.run(work(wait=False))
    asyncio.run(work(wait=True))
    telemetry.shutdown()
    assert len(recent_traces([tmp_path])) == 2


def test_old_files_make_room_and_what_remains_is_readable(tmp_path: Path) -> None:
    file = SpanFile(tmp_path, Meter(), service="sample", version="1", file_bytes=2000, files=3)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(file)
    tracer = Tracer(provider.get_tracer("test"), 1)
    for _ in range(200):
        with tracer.span(WORK):
            pass
        file.force_flush()
    with tracer.span(WORK) as span:
        pass
    provider.shutdown()
    files = list(tmp_path.iterdir())
    assert len(files) == 3
    assert sum(path.stat().st_size for path in files) < 3 * 2500
    assert read_spans([tmp_path], hexadecimal(span.context))


def test_a_file_removed_by_another_process_of_the_service_is_begun_anew(tmp_path: Path) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    idle = SpanFile(tmp_path, Meter(), service="sample", version="1")
    provider.add_span_processor(idle)
    tracer = Tracer(provider.get_tracer("test"), 1)
    with tracer.span(WORK):
        pass
    idle.force_flush()
    for path in tmp_path.glob("*.spans"):
        path.unlink()
    with tracer.span(WORK) as span:
        pass
    provider.shutdown()
    assert len(read_spans([tmp_path], hexadecimal(span.context))) == 1


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path: Path) -> None:
    telemetry = started(tmp_path, "sample")
    for _ in range(2):
        with telemetry.tracer.span(WORK):
            pass
    telemetry.shutdown()
    (path,) = tmp_path.glob("*.spans")
    path.write_bytes(path.read_bytes()[:-7])
    assert len(recent_traces([tmp_path])) == 1


def test_a_trace_is_found_by_its_first_characters_with_the_traces_that_stem_from_it(tmp_path: Path) -> None:
    first, second, third = (started(tmp_path / name, name) for name in ("consent", "churn", "notification"))

    def chain(tracer: Tracer, links: tuple[SpanContext, ...]) -> Span:
        with tracer.span(PROCESS, links=links), tracer.span(PUBLISH) as publish:
            return publish

    with first.tracer.span(WORK) as origin, first.tracer.span(PUBLISH) as published:
        pass
    onward = chain(second.tracer, (published.context,))
    chain(third.tracer, (onward.context,))
    with third.tracer.span(WORK) as other:
        pass
    for telemetry in (first, second, third):
        telemetry.shutdown()
    found = read_spans([tmp_path], hexadecimal(origin.context)[:12].upper())
    assert sorted((span.service, span.name) for span in found) == [
        ("churn", "process X"),
        ("churn", "publish X"),
        ("consent", "publish X"),
        ("consent", "work"),
        ("notification", "process X"),
        ("notification", "publish X"),
    ]
    assert [span.service for span in read_spans([tmp_path], hexadecimal(other.context))] == ["notification"]
    without_producer = read_spans([tmp_path / "churn"], hexadecimal(origin.context))
    assert [span.name for span in without_producer] == ["publish X", "process X"]


def test_a_folder_that_cannot_be_written_costs_spans_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    meter = Meter()
    file = SpanFile(tmp_path / "taken", meter, service="sample", version="1")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(file)
    with Tracer(provider.get_tracer("test"), 1).span(WORK):
        pass
    provider.shutdown()
    assert meter.counter(DROPPED_SPANS).of().value == 1
