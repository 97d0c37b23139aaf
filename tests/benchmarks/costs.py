"""Processor time of a running suite, by process; of PostgreSQL by the service it works for."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Mapping
from typing import Final, TypeAlias

import psutil
from suite import SERVICE_NAMES, Suite

_UPKEEP: Final = ("checkpointer", "background writer", "walwriter", "autovacuum", "io worker")

Costs: TypeAlias = Mapping[str, float]
"""Process -> seconds of processor time."""


def spent_s(suite: Suite) -> Costs:
    """Return what each process has taken so far."""
    found: defaultdict[str, float] = defaultdict(float)
    for each in suite.status().processes:
        if each.pid is None:
            continue
        process = psutil.Process(each.pid)
        if each.name != "postgres":
            found[each.name] += _of(process)
            continue
        for part in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                found[_kind(" ".join(part.cmdline()))] += _of(part)
    return found


def since(suite: Suite, before: Costs) -> Costs:
    """Return what each process has taken since then, the dearest first."""
    taken = {name: seconds - before.get(name, 0.0) for name, seconds in spent_s(suite).items()}
    return dict(sorted(taken.items(), key=lambda each: -each[1]))


def _kind(title: str) -> str:
    service = next((name for name in SERVICE_NAMES if f" rapport_{name}" in title), "")
    return f"postgres: {service or ('upkeep' if any(part in title for part in _UPKEEP) else 'others')}"


def _of(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0
