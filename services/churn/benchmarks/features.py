"""How fast facts become features: online, one at a time, and offline, all of a log at many cutoffs.

    python services/churn/benchmarks/features.py [--events 1000000] [--cutoffs 6]

CPU time is measured, so that what else the machine does changes little; the issue's size is ten million events.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rapport_churn.domain.facts import DAY, Fact, FactKind
from rapport_churn.domain.features import DEFAULT_FEATURES
from rapport_churn.domain.labels import Horizon, PopulationRule, closed_cutoffs
from rapport_churn.domain.state import ProfileState
from rapport_churn.domain.vectors import Plan
from rapport_churn.training.log import EventLog
from rapport_churn.training.offline import rebuild
from rapport_testing.bench import Figure, Report, p50, p99
from synthetic import DAYS, START, fill

FOLDER: Final = Path(__file__).resolve().parents[3] / "build" / "bench"
FLOOR_A_SECOND: Final = 30_000.0
ONLINE_EVENTS: Final = 200_000
NOW: Final = START + DAYS * DAY
HORIZON: Final = Horizon(90, 180, 5)
_ARRIVED: Final = f"SELECT {', '.join(Fact._fields)} FROM issues ORDER BY arrived_at, fact_id"  # noqa: S608


def main() -> None:
    """Measure and write build/bench/churn-features.jsonl."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--events", type=int, default=1_000_000, help="facts of the log that is rebuilt")
    arguments.add_argument("--cutoffs", type=int, default=6, help="snapshots that are rebuilt of everyone")
    chosen = arguments.parse_args()
    report = Report("churn-features", FOLDER)
    online(report)
    offline(report, chosen.events, chosen.cutoffs)
    report.write()


def online(report: Report) -> None:
    """Fold facts in order of arrival, a seventh of them late, and read vectors."""
    with EventLog() as log:
        fill(log, ONLINE_EVENTS)
        rows = log.connection.execute(_ARRIVED).fetchall()
    facts = [Fact._make((*row[:3], FactKind(row[3]), *row[4:])) for row in rows]
    states, taken = _folded(facts)
    report.add(Figure("facts folded a second and core", len(facts) / taken, "/s", FLOOR_A_SECOND, ">= 1"))
    vectors = [_timed_us(state) for state in states]
    report.add(Figure("vector of a profile of 50 facts, p50", p50(vectors), "us", 100.0, "<= 1"))
    report.add(Figure("vector of a profile of 50 facts, p99", p99(vectors), "us"))


def _folded(facts: Sequence[Fact]) -> tuple[list[ProfileState], float]:
    plan, states = Plan(DEFAULT_FEATURES), dict[str, ProfileState]()
    began = time.process_time()
    for fact in facts:
        state = states.get(fact.profile_id)
        if state is None:
            state = states[fact.profile_id] = ProfileState(plan)
        state.apply(fact)
    for state in states.values():
        state.summary(NOW, NOW)  # winds what was folded
    return list(states.values()), time.process_time() - began


def _timed_us(state: ProfileState) -> float:
    began = time.process_time()
    state.vector(NOW, NOW)
    return (time.process_time() - began) * 1e6


def offline(report: Report, events: int, cutoffs: int) -> None:
    """Settle a log and rebuild features and labels of its population."""
    with TemporaryDirectory() as folder, EventLog(Path(folder), memory_mb=1024) as log:
        fill(log, events)
        with _measured(report, f"settle {events:,} events"):
            log.settle()
        chosen = closed_cutoffs(START + 180 * DAY, NOW, HORIZON, 30)[-cutoffs:]
        with _measured(report, f"rebuild {len(chosen)} snapshots of {len(DEFAULT_FEATURES)} features"):
            frame = rebuild(log, DEFAULT_FEATURES, chosen, HORIZON, now=NOW, population=PopulationRule(365))
    report.add(Figure("  rows", len(frame), ""))
    report.add(Figure("  peak memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB", 3000.0, "<= 1"))


@contextmanager
def _measured(report: Report, what: str) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    report.add(Figure(f"{what}, CPU", time.process_time() - cpu, "s"))
    report.add(Figure(f"{what}, elapsed", time.perf_counter() - wall, "s"))


if __name__ == "__main__":
    main()
