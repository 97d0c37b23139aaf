"""Dashboards, alert rules and the collector name only what exists."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from manifest_table import deployed
from manifest_telemetry import declared_series, label
from rapport_chassis.events import telemetry as events
from rapport_chassis.telemetry import conventions
from rapport_chassis.telemetry.names import Attribute
from rapport_privacy import telemetry as gates

ROOT = Path(__file__).resolve().parents[2]
SERIES = re.compile(r"[a-z][a-z0-9_]*(?=\{|\[|\)| [><=/*]|$)")
LABELS = re.compile(r"by \(([^)]*)\)|\{(\w+)")
OF_RESOURCE = {"service_name", "le"}


def expressions(deploy: Path) -> list[str]:
    rules = yaml.safe_load((deploy / "observability/rules.yaml").read_text(encoding="utf-8"))
    found = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    for path in sorted((deploy / "observability/dashboards").glob("*.json")):
        panels = json.loads(path.read_text(encoding="utf-8"))["panels"]
        found += [target["expr"] for panel in panels for target in panel["targets"]]
    return found


def labels_of() -> set[str]:
    modules = [conventions, events, gates]
    modules += [import_module(f"{service.module}.telemetry") for service in deployed()]
    return {label(each) for module in modules for each in vars(module).values() if isinstance(each, Attribute)}


def test_dashboards_and_rules_name_declared_metrics_and_labels_alone(deploy: Path) -> None:
    series, labels = declared_series(), labels_of() | OF_RESOURCE
    found = expressions(deploy)
    assert len(found) > 30
    for expression in found:
        without_labels = re.sub(r"by \([^)]*\)", "", expression)
        named = {each for each in SERIES.findall(without_labels) if "_" in each and "{" not in each}
        assert named, expression
        assert named <= series, expression
        grouped = [name.strip() for by, _ in LABELS.findall(expression) for name in by.split(",") if name.strip()]
        asked = [name for _, name in LABELS.findall(expression) if name]
        assert {*grouped, *asked} <= labels, expression


def test_each_alert_names_a_part_of_the_runbook_that_is_there(deploy: Path) -> None:
    runbook = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
    anchors = {title.lower().replace(" ", "-") for title in re.findall(r"^## (.*)$", runbook, re.MULTILINE)}
    rules = yaml.safe_load((deploy / "observability/rules.yaml").read_text(encoding="utf-8"))
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert alerts
    for rule in alerts:
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/runbook.md"
        assert anchor in anchors
        assert f"`{rule['alert']}` | [" in runbook
    linked = set(re.findall(r"\]\(#([a-z-]+)\)", runbook))
    assert linked <= anchors


def test_collector_pipelines_use_what_is_configured(read: Callable[[str], list[Any]]) -> None:
    (collector,) = read("observability/collector.yaml")
    for pipeline in collector["service"]["pipelines"].values():
        for part, named in pipeline.items():
            assert {*named} <= {*collector[part]}
    assert {*collector["service"]["extensions"]} == {*collector["extensions"]}
    (compose,) = read("compose/observability.yaml")
    given = compose["services"]["collector"]["environment"]
    asked = set(re.findall(r"\$\{env:(\w+)\}", yaml.dump(collector)))
    assert asked == {*given}
    assert given["TRACES_ENDPOINT"].split(":")[0] in compose["services"]
