"""Dashboards and alert rules, made of the declared names: what no service declares cannot be drawn or watched."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any, Final

from manifest_table import WRITTEN, deployed
from rapport_chassis.events import telemetry as events
from rapport_chassis.telemetry import conventions
from rapport_chassis.telemetry.names import (
    Attribute,
    CounterName,
    Declared,
    GaugeName,
    HistogramName,
    SpanName,
    declared_in,
)
from rapport_privacy import telemetry as gates

Measured = CounterName | GaugeName | HistogramName
RUNBOOK: Final = "docs/runbook.md"
_DATASOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
_UNITS: Final = {"s": "_seconds", "By": "_bytes"}
_FAULTS: Final = "UNKNOWN|DEADLINE_EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS"
_PANEL: Final = 12
_HEIGHT: Final = 8


def series(name: Measured) -> str:
    """Return what a metric is called in Prometheus, which translates what it receives over OTLP."""
    base = re.sub(r"[^a-zA-Z0-9]+", "_", name.name) + _UNITS.get(name.unit, "")
    if isinstance(name, CounterName):
        return f"{base}_total"
    return f"{base}_ratio" if isinstance(name, GaugeName) and name.unit == "1" else base


def label(attribute: Attribute) -> str:
    """Return what an attribute is called in Prometheus."""
    return re.sub(r"[^a-zA-Z0-9]+", "_", attribute)


def declared_series() -> set[str]:
    """Return every series that the suite can write."""
    found: set[str] = set()
    modules = [conventions, events, gates]
    modules += [import_module(f"{service.module}.telemetry") for service in deployed()]
    for each in declared_in(*modules):
        if isinstance(each, HistogramName):
            found |= {f"{series(each)}{part}" for part in ("_bucket", "_sum", "_count")}
        elif not isinstance(each, SpanName):
            found.add(series(each))
    return found


def rules() -> dict[str, Any]:
    """Return the alert rules, as Prometheus reads them; each names the part of the runbook that helps."""
    return {"groups": [{"name": "rapport", "rules": [_alert(*each) for each in _ALERTS]}]}


def rule_object() -> dict[str, Any]:
    """Return the same rules for the Prometheus operator."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "rapport", "labels": {"app.kubernetes.io/part-of": "rapport"}},
        "spec": rules(),
    }


def dashboards() -> dict[str, dict[str, Any]]:
    """Return every dashboard, by the name of its file."""
    found = {
        "overview": _dashboard("Rapport: calls and events", _OVERVIEW),
        "events": _dashboard("Rapport: outbox, relays, consumers", _EVENTS),
        "gates": _dashboard("Rapport: consent gates", _GATES),
    }
    for service in deployed():
        names = [each for each in declared_in(import_module(f"{service.module}.telemetry")) if _is_own(each)]
        if names:
            panels = [_of(name) for name in names if not isinstance(name, SpanName)]
            found[service.name] = _dashboard(f"Rapport: {service.name}", panels)
    return found


def _is_own(each: Declared) -> bool:
    return not isinstance(each, SpanName) and each not in declared_in(gates, events, conventions)


def _of(name: Measured) -> tuple[str, str, str]:
    by = ", ".join(["service_name", *map(label, name.attributes)])
    if isinstance(name, CounterName):
        return f"{name.description} A second.", f"sum by ({by}) (rate({series(name)}[5m]))", "cps"
    if isinstance(name, HistogramName):
        p99 = f"histogram_quantile(0.99, sum by (le, {by}) (rate({series(name)}_bucket[5m])))"
        return f"{name.description} p99.", p99, "s" if name.unit == "s" else "short"
    return name.description, f"max by ({by}) ({series(name)})", "s" if name.unit == "s" else "short"


def _rate(name: Measured, suffix: str, by: str, where: str = "") -> str:
    return f"sum by ({by}) (rate({series(name)}{suffix}{where}[5m]))"


_CALLS: Final = conventions.RPC_SERVER_DURATION
_METHOD: Final = label(conventions.RPC_METHOD)
_STATUS: Final = label(conventions.RPC_STATUS)
_FAULTY: Final = f'{{{_STATUS}=~"{_FAULTS}"}}'

_OVERVIEW: Final = [
    ("Calls a second, by service", _rate(_CALLS, "_count", "service_name"), "reqps"),
    (
        "Share of calls that failed by the service's own fault",
        f"{_rate(_CALLS, '_count', 'service_name', _FAULTY)} / {_rate(_CALLS, '_count', 'service_name')}",
        "percentunit",
    ),
    (
        "p99 by method",
        f"histogram_quantile(0.99, {_rate(_CALLS, '_bucket', f'le, service_name, {_METHOD}')})",
        "s",
    ),
    ("Calls a second, by status", _rate(_CALLS, "_count", f"service_name, {_STATUS}"), "reqps"),
    _of(conventions.RPC_CLIENT_DURATION),
    _of(conventions.HTTP_DURATION),
    _of(conventions.PROCESS_DURATION),
    _of(conventions.CONSUMED_MESSAGES),
]
_EVENTS: Final = [
    _of(each)
    for each in (
        events.OUTBOX_AGE,
        events.OUTBOX_REFUSED,
        events.RELAY_ACTIVE,
        conventions.SENT_MESSAGES,
        conventions.PUBLISH_DURATION,
        events.CONSUMER_PAUSED,
        events.CONSUMER_WAITING,
        events.DEAD_LETTERS,
        events.DUPLICATES,
        conventions.DROPPED_SPANS,
        conventions.DROPPED_KEYS,
    )
]
_GATES: Final = [_of(each) for each in (gates.GATE_LAG, gates.GATE_STALENESS, gates.GATE_POSITION, gates.GATE_REPORTS)]

_STREAM: Final = label(events.STREAM)
_CONSUMER: Final = label(conventions.CONSUMER)
_ALERTS: Final = (
    (
        "OutboxStalled",
        f"max by ({_STREAM}) ({series(events.OUTBOX_AGE)}) > 30",
        "1m",
        "critical",
        "Events have waited for more than half a minute to be published.",
        "full-stream",
    ),
    (
        "NoRelay",
        f"sum by ({_STREAM}) ({series(events.RELAY_ACTIVE)}) < 1",
        "2m",
        "critical",
        "No process publishes this stream.",
        "no-relay",
    ),
    (
        "EventTooLarge",
        f"max by (service_name) ({series(events.OUTBOX_REFUSED)}) > 0",
        "5m",
        "warning",
        "An event is too large to be published and stays in the outbox.",
        "event-too-large",
    ),
    (
        "DeadLetter",
        f"sum by ({_CONSUMER}) (increase({series(events.DEAD_LETTERS)}[15m])) > 0",
        "0m",
        "warning",
        "A consumer gave an event up.",
        "dead-letter-at-night",
    ),
    (
        "ConsumerPaused",
        f"max by ({_CONSUMER}) ({series(events.CONSUMER_PAUSED)}) > 0",
        "1m",
        "critical",
        "A consumer failed too often in a row and has paused.",
        "paused-consumer",
    ),
    (
        "ConsumerWaits",
        f"max by ({_CONSUMER}) ({series(events.CONSUMER_WAITING)}) > 0",
        "30m",
        "warning",
        "A consumer waits for its stream, or differs from what is declared.",
        "waiting-consumer",
    ),
    (
        "GateStale",
        f"max by (service_name) ({series(gates.GATE_STALENESS)}) > 2",
        "1m",
        "critical",
        "A gate does not know the ledger freshly enough: what rests on consent is denied there.",
        "stale-gate",
    ),
    (
        "CallsFail",
        f"{_rate(_CALLS, '_count', 'service_name', _FAULTY)} / {_rate(_CALLS, '_count', 'service_name')} > 0.01",
        "5m",
        "critical",
        "More than one call in a hundred fails by the service's own fault.",
        "failing-calls",
    ),
    (
        "TelemetryLost",
        f"sum by (service_name) (rate({series(conventions.DROPPED_SPANS)}[15m])) > 0",
        "15m",
        "info",
        "Spans are lost.",
        "lost-telemetry",
    ),
)


def _alert(name: str, expression: str, wait: str, severity: str, summary: str, anchor: str) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": wait,
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "runbook": f"{RUNBOOK}#{anchor}"},
    }


def _dashboard(title: str, panels: list[tuple[str, str, str]]) -> dict[str, Any]:
    return {
        "uid": re.sub(r"[^a-z]+", "-", title.lower()),
        "title": title,
        "description": WRITTEN,
        "schemaVersion": 41,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "tags": ["rapport"],
        "panels": [
            {
                "id": at + 1,
                "title": text,
                "type": "timeseries",
                "datasource": _DATASOURCE,
                "gridPos": {"x": at % 2 * _PANEL, "y": at // 2 * _HEIGHT, "w": _PANEL, "h": _HEIGHT},
                "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                "targets": [{"refId": "A", "datasource": _DATASOURCE, "expr": expression}],
            }
            for at, (text, expression, unit) in enumerate(panels)
        ],
    }
