"""Carrying metrics away every few seconds: the loop that does it, and a local file for where there is no collector."""

import json
import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.telemetry.metrics import CounterSeries, GaugeSeries, HistogramSeries, Meter, Sample

SUFFIX = ".metrics.json"


class MetricsSink(Protocol):
    """Receives all samples of a process, again and again."""

    def write(self, samples: Iterable[Sample]) -> None:
        """Take the samples as they are now; called from one background thread."""

    def close(self) -> None:
        """Let go of files and connections."""


class MetricsExport:
    """Hands the meter's samples to a sink in a daemon thread, and once more at the end."""

    def __init__(self, sink: MetricsSink, meter: Meter, interval_s: float = 5.0) -> None:
        self._sink = sink
        self._meter = meter
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics-export", daemon=True)

    def start(self) -> None:
        """Begin; the first export follows after one interval."""
        self._thread.start()

    def stop(self) -> None:
        """Export a last time and stop."""
        self._stopping.set()
        self._thread.join(timeout=10)
        self._sink.close()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            self._export()
        self._export()

    def _export(self) -> None:
        try:
            self._sink.write(_yielding(self._meter.samples()))
        except OSError as error:
            get_logger().warning("metrics_not_written", error=error)


def _yielding(samples: Iterator[Sample]) -> Iterator[Sample]:
    """The samples, giving the interpreter back now and then so that no call waits for a whole export."""
    for number, sample in enumerate(samples):
        if number % 16 == 15:
            time.sleep(0)
        yield sample


class SnapshotFile:
    """Keeps `<service>-<pid>.metrics.json` in a folder, replaced whole, for `rapport status` to read."""

    def __init__(self, folder: Path, service: str) -> None:
        self._path = folder / f"{service}-{os.getpid()}{SUFFIX}"
        self._service = service
        self._totals: dict[tuple[Any, ...], float] = {}
        self._written_at = time.monotonic()

    def write(self, samples: Iterable[Sample]) -> None:
        """Replace the file. What is counted has its rate since the write before beside it."""
        now = time.monotonic()
        elapsed_s, self._written_at = now - self._written_at, now
        rows = [self._row(sample, elapsed_s) for sample in samples]
        snapshot = {"service": self._service, "pid": os.getpid(), "at": time.time(), "metrics": rows}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".tmp")
        draft.write_text(json.dumps(snapshot, separators=(",", ":")))
        draft.replace(self._path)

    def close(self) -> None:
        """Remove the file: figures of a process that has ended would be read as current."""
        self._path.unlink(missing_ok=True)

    def _row(self, sample: Sample, elapsed_s: float) -> dict[str, Any]:
        name, series = sample.name, sample.series
        row: dict[str, Any] = {"name": name.name, "unit": name.unit, "attributes": sample.attributes}
        if isinstance(series, GaugeSeries):
            return row | {"value": series.value}
        total = sum(series.counts) if isinstance(series, HistogramSeries) else series.value
        key = (name.name, *sample.attributes.values())
        row["per_s"] = (total - self._totals.get(key, 0)) / elapsed_s
        self._totals[key] = total
        if isinstance(series, CounterSeries):
            return row | {"value": total}
        shares = {"p50": 0.5, "p99": 0.99}
        return (
            row
            | {"count": total, "sum": series.total, "max": series.maximum}
            | {name: series.quantile(share) for name, share in shares.items()}
        )


def read_snapshots(folders: Iterable[Path]) -> list[dict[str, Any]]:
    """The newest figures of every process that wrote into the folders or below: service, pid, at, metrics."""
    snapshots = []
    for path in sorted({path for folder in folders for path in folder.rglob(f"*{SUFFIX}")}):
        try:
            snapshots.append(json.loads(path.read_bytes()))
        except (OSError, ValueError):
            continue  # its process has just ended
    return snapshots
