"""What the services are doing, by the metrics that each process writes every few seconds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from rapport_chassis.events.telemetry import OUTBOX_AGE
from rapport_chassis.telemetry.conventions import (
    CONSUMED_MESSAGES,
    RPC_METHOD,
    RPC_SERVER_DURATION,
    RPC_STATUS,
    SENT_MESSAGES,
)
from rapport_chassis.telemetry.metrics_export import read_snapshots
from rich.table import Table

from rapport_local.environment import Environment
from rapport_local.status import EnvironmentStatus

_OWN_METHODS: Final = "rapport."
"""How the suite's methods begin: the probes of this environment call those of others, all the time."""

_FAULTS: Final = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""Statuses that are the server's fault, by OpenTelemetry's conventions for RPC; all others are the caller's."""


class Activity(BaseModel):
    """What one process of a service has done since its start.

    Attributes:
        service: Its name.
        calls: Calls it answered, health checks and the like apart.
        calls_per_s: How many a second in the last few.
        refused: Calls that the caller has to mend.
        failed: Calls that failed by its own fault.
        sent: Events it published.
        handled: Events that were delivered to it.
        outbox_age_s: How long its oldest event has waited to be published; None without a relay.
        measured_s_ago: How old these figures are.
    """

    model_config = ConfigDict(frozen=True)

    service: str
    calls: int
    calls_per_s: float
    refused: int
    failed: int
    sent: int
    handled: int
    outbox_age_s: float | None
    measured_s_ago: float


def read_activity(environment: Environment, status: EnvironmentStatus) -> list[Activity]:
    """Return the activity of every running process that has written its metrics yet, which takes a few seconds."""
    names = {process.pid: process.name for process in status.processes}
    return [
        _activity(names[snapshot["pid"]], snapshot)
        for snapshot in read_snapshots([environment.telemetry])
        if names.get(snapshot["pid"]) == snapshot["service"]
    ]


def activity_table(activities: Iterable[Activity]) -> Table:
    """Return the activities as a table, at most 80 columns wide."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for heading in ("service", "calls", "calls/s", "refused", "failed", "sent", "handled", "outbox age"):
        table.add_column(heading, justify="left" if heading == "service" else "right", no_wrap=True)
    for each in activities:
        counts = (each.refused, each.failed, each.sent, each.handled)
        outbox = "" if each.outbox_age_s is None else f"{each.outbox_age_s:.1f} s"
        table.add_row(each.service, str(each.calls), f"{each.calls_per_s:.1f}", *map(str, counts), outbox)
    return table


def _activity(service: str, snapshot: Mapping[str, Any]) -> Activity:
    calls = [row for row in _rows(snapshot, RPC_SERVER_DURATION.name) if _is_own(row)]
    refused = [row for row in calls if row["attributes"][RPC_STATUS] not in ("OK", *_FAULTS)]
    failed = [row for row in calls if row["attributes"][RPC_STATUS] in _FAULTS]
    ages = [row["value"] for row in _rows(snapshot, OUTBOX_AGE.name)]
    return Activity(
        service=service,
        calls=_total(calls, "count"),
        calls_per_s=sum(row["per_s"] for row in calls),
        refused=_total(refused, "count"),
        failed=_total(failed, "count"),
        sent=_total(_rows(snapshot, SENT_MESSAGES.name), "value"),
        handled=_total(_rows(snapshot, CONSUMED_MESSAGES.name), "value"),
        outbox_age_s=max(ages, default=None),
        measured_s_ago=max(0.0, time.time() - snapshot["at"]),
    )


def _rows(snapshot: Mapping[str, Any], name: str) -> Iterator[dict[str, Any]]:
    return (row for row in snapshot["metrics"] if row["name"] == name)


def _is_own(row: Mapping[str, Any]) -> bool:
    return str(row["attributes"].get(RPC_METHOD, "")).startswith(_OWN_METHODS)


def _total(rows: Iterable[Mapping[str, Any]], key: str) -> int:
    return int(sum(row[key] for row in rows))
