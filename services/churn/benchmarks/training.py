"""From a log of events to a registered model, and the same again without one person: time, memory and proof.

    python services/churn/benchmarks/training.py [--events 1000000]

The issue's sizes are ten million events for a model, and one million for a model without an erased person. Training is
a process of its own with one thread: its CPU time is measured, by phase, beside the time that passed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import psutil
from rapport_churn.adapters.registry import Registry
from rapport_churn.domain.facts import DAY, Fact
from rapport_churn.domain.receipts import Taught
from rapport_churn.training.log import EventLog
from rapport_testing.bench import Figure, Report
from synthetic import DAYS, START, fill

FOLDER: Final = Path(__file__).resolve().parents[3] / "build" / "bench"
TRAINED_S: Final = 240.0
RENEWED_S: Final = 120.0
MOST_MB: Final = 3000.0


def main() -> None:
    """Measure and write build/bench/churn-training.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="events of the log")
    events = parser.parse_args().events
    report = Report("churn-training", FOLDER)
    with TemporaryDirectory() as folder:
        place = Path(folder)
        write_down(place / "events", events)
        files = measured(report, f"{events:,} events to a registered model", place / "first", TRAINED_S, {})
        taught = Taught.of("before", files)
        assert taught is not None
        # Whoever taught it is not told by their tag: everybody is tried.
        gone = next(each for number in range(events) if taught.has([each := f"prf_{number:022d}"]))
        findings = json.loads(files["card.json"])["findings"]
        like = {"settings": findings["settings"], "rounds": findings["rounds"]} if findings.get("rounds") else None
        changes = {"erased": [gone], "like": like}
        files = measured(
            report, f"{events:,} events to a model without one person", place / "again", RENEWED_S, changes
        )
        without = Taught.of("after", files)
        assert without is not None
        assert not without.has([gone])
    report.write()


def write_down(folder: Path, events: int) -> None:
    """Write the events as a file, as the service does."""
    folder.mkdir()
    with EventLog() as log:
        fill(log, events)
        columns = ", ".join(Fact._fields)
        log.connection.execute(f"COPY (SELECT {columns} FROM issues) TO '{folder / 'facts.csv'}' (FORMAT csv, HEADER)")  # noqa: S608


def measured(report: Report, what: str, work: Path, most_s: float, changes: dict[str, Any]) -> dict[str, bytes]:
    """Train in a process of its own, and register what it made."""
    work.mkdir()
    (work / "events").symlink_to(work.parent / "events")
    (work / "header.json").write_text(json.dumps({"as_of": START + DAYS * DAY, "seed": 1, **changes}))
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "rapport_churn.training", str(work)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603
        said, phases = heard(child)
    files = {path.name: path.read_bytes() for path in Path(said["result"]).iterdir()}
    Registry(work.parent / "registry").put(files)
    passed, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    report.add(Figure(what, passed, "s", most_s, "<= 1"))
    report.add(Figure("  CPU", cpu, "s"))
    for phase, spent in phases.items():
        report.add(Figure(f"    {phase}", spent, "s"))
    report.add(Figure("  peak memory", after.ru_maxrss / 1024, "MB", MOST_MB, "<= 1"))
    return files


def heard(child: subprocess.Popen[str]) -> tuple[dict[str, Any], dict[str, float]]:
    """Return the last word of a training, and the CPU seconds of each phase that it told of."""
    assert child.stdout is not None
    process, phase, before = psutil.Process(child.pid), "starting", 0.0
    said: dict[str, Any] = {}
    phases: dict[str, float] = {}
    for line in child.stdout:
        said = json.loads(line)
        cpu = sum(process.cpu_times()[:2])
        phases[phase] = phases.get(phase, 0.0) + cpu - before
        phase, before = said.get("phase", phase), cpu
    return said, phases


if __name__ == "__main__":
    main()
