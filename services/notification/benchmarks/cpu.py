"""Processor time of what a benchmark has started, by kind of process: what a mail costs, wherever it is paid."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from typing import Final

import psutil

_KINDS: Final = {
    "postgres": "postgres",
    "nats-server": "nats",
    "--sink": "sink",
    "rapport_notification.templates": "renderer",
    "rapport_notification": "service",
}
"""What a command line holds, and what the process is called; the first that fits."""


def seconds() -> defaultdict[str, float]:
    """Return the processor time that all descendants of this process have taken so far, by kind, and its own."""
    found = defaultdict(float, bench=time.process_time())
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            spent = process.cpu_times()
            found[_kind(" ".join(process.cmdline()))] += spent.user + spent.system
    return found


def _kind(command: str) -> str:
    return next((kind for part, kind in _KINDS.items() if part in command), "others")
