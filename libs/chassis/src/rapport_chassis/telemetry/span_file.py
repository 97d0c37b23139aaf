"""Spans in local files, for installations without a collector: written in small slices, kept under a cap.

A batch exporter that serialises hundreds of spans at once in a thread holds the interpreter for milliseconds and
multiplies the tail latency of every call. Here ended spans wait in a queue and the event loop encodes them between
calls, at most 1 ms at a time.
"""

import asyncio
import json
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from rapport_chassis.telemetry.conventions import DROPPED_SPANS
from rapport_chassis.telemetry.metrics import Meter
from rapport_chassis.telemetry.span_record import SpanRecord, decode, encode

SUFFIX = ".spans"
SLICE_S = 0.0005
FLUSH_EVERY_S = 0.05
QUEUE_LIMIT = 20_000


class SpanFile(SpanProcessor):
    """Appends ended spans to `<service>-<start>-<pid>-<n>.spans` in a folder; the service's oldest files make room."""

    def __init__(
        self, folder: Path, meter: Meter, *, service: str, version: str, file_bytes: int = 8 * 1024**2, files: int = 4
    ) -> None:
        """Prepare; nothing is opened before the first span.

        Args:
            folder: where the files go; made when missing. Services may share it.
            meter: counts lost spans.
            service: name of the service, without a path separator.
            version: release of the service.
            file_bytes: size at which a new file is begun.
            files: most files kept per service.
        """
        self._folder = folder
        self._service = service
        self._header = json.dumps({"format": 1, "service": service, "version": version}).encode() + b"\n"
        self._file_bytes = file_bytes
        self._files = files
        self._queue: deque[ReadableSpan] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._descriptor = -1
        self._written = 0
        self._opened = 0
        self._start = f"{time.time_ns() // 1_000_000:013d}-{os.getpid()}"
        self._dropped = meter.counter(DROPPED_SPANS).of()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing is kept of a running span."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span; the running loop writes it within 50 ms, outside a loop it is written by `force_flush`."""
        if len(self._queue) >= QUEUE_LIMIT:
            self._dropped.add()
            return
        self._queue.append(span)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if loop is not self._loop:
            self._loop = loop
            loop.call_later(FLUSH_EVERY_S, self._slice)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Write everything that waits."""
        while self._queue:
            self._write_some(float("inf"))
        return True

    def shutdown(self) -> None:
        """Write what waits and close the file."""
        self.force_flush()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _slice(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            return
        self._write_some(time.perf_counter() + SLICE_S)
        if self._queue:
            loop.call_later(SLICE_S, self._slice)
        else:
            self._loop = None

    def _write_some(self, until: float) -> None:
        lines = []
        while self._queue:
            lines.append(encode(self._queue.popleft()))
            if time.perf_counter() >= until:
                break
        lines.append(b"")
        try:
            self._append(b"\n".join(lines))
        except OSError:
            self._dropped.add(len(lines) - 1)

    def _append(self, block: bytes) -> None:
        if self._descriptor < 0 or self._written >= self._file_bytes or os.fstat(self._descriptor).st_nlink == 0:
            self._open()  # the last: another process of the service has made room
        os.write(self._descriptor, block)
        self._written += len(block)

    def _open(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._service}-{self._start}-{self._opened:04d}{SUFFIX}"
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._opened += 1
        self._written = os.write(self._descriptor, self._header)
        others = [other for other in self._folder.glob(f"{self._service}-[0-9]*{SUFFIX}") if other != path]
        for old in sorted(others, key=_last_written)[: max(0, len(others) + 1 - self._files)]:
            old.unlink(missing_ok=True)


def _last_written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0  # gone meanwhile


def read_spans(folders: Iterable[Path], trace_id: str) -> list[SpanRecord]:
    """All spans of a trace, and of the traces that link to it, however far.

    Args:
        folders: searched with everything below.
        trace_id: the id, or its first characters; every trace that begins so is returned.
    """
    lines = list(_lines(folders))
    prefix = trace_id.lower().encode()
    wanted = {line[2:34] for _, line in lines if line.startswith(prefix, 2)}
    news = wanted | ({prefix} if len(prefix) == 32 else set())
    while news:
        followers = {line[2:34] for _, line in lines if not line.endswith(b"[]]") and any(n in line for n in news)}
        news = followers - wanted
        wanted |= news
    return [decode(line, service) for service, line in lines if line[2:34] in wanted]


def recent_traces(folders: Iterable[Path], limit: int = 20) -> list[SpanRecord]:
    """The root spans that ended last, newest first."""
    roots = (decode(line, service) for service, line in _lines(folders) if line[54:58] == b',"",')
    return sorted(roots, key=lambda span: -span.end_ns)[:limit]


def _lines(folders: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """Each whole line with its service; a line cut short by a kill is left out."""
    for path in sorted({path for folder in folders for path in folder.rglob(f"*{SUFFIX}")}):
        try:
            header, *lines = path.read_bytes().split(b"\n")[:-1] or [b""]
            service = json.loads(header)["service"]
        except (OSError, ValueError, KeyError):
            continue
        yield from ((service, line) for line in lines if line.startswith(b'["') and line.endswith(b"]]"))
