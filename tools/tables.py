"""Writes the generated tables of a service's README: methods, events, errors, settings, telemetry.

    python tools/tables.py consent            writes them
    python tools/tables.py consent --check    fails if they are not what the code says
    python tools/tables.py gate               those of the page about embedding a gate
    python tools/tables.py ingest             those of the page about mappings

A table stands between `<!-- table: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from pydantic import BaseModel
from rapport.common.v1 import event_pb2
from rapport_chassis.rpc.foreign import access_of
from rapport_chassis.settings_report import settings_table
from rapport_chassis.telemetry.names import declared_in, names_table

ROOT = Path(__file__).resolve().parents[1]
_TABLE = re.compile(r"<!-- table: (?P<name>[a-z]+) -->\n.*?<!-- end -->", re.DOTALL)
_COMMENT = re.compile(r"((?:^ *//.*\n)+) *(?:rpc|message) (\w+)", re.MULTILINE)


def main() -> int:
    """Write or check the README of one service, or the page about gates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("service")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    page, made = _PAGES.get(options.service, (f"services/{options.service}/README.md", None))
    readme = ROOT / page
    written = readme.read_text(encoding="utf-8")
    tables = made() if made else _tables(options.service)
    fresh = _TABLE.sub(lambda found: _framed(found["name"], tables[found["name"]]()), written)
    if not options.check:
        readme.write_text(fresh, encoding="utf-8")
    elif fresh != written:
        print(f"{readme.relative_to(ROOT)} is not what the code says: python tools/tables.py {options.service}")
        return 1
    return 0


def _tables(service: str) -> Mapping[str, Callable[[], str]]:
    bootstrap = importlib.import_module(f"rapport_{service}.bootstrap")
    names = importlib.import_module(f"rapport_{service}.telemetry")
    definition = bootstrap.DEFINITION
    said = comments(service)
    return {
        "methods": lambda: _methods(bootstrap.SERVICES, said),
        "events": lambda: events_of(service, said),
        "errors": definition.errors.markdown,
        "settings": lambda: settings_table(definition.settings_class),
        "telemetry": lambda: names_table(declared_in(names)),
    }


def _gate_tables() -> Mapping[str, Callable[[], str]]:
    settings = importlib.import_module("rapport_privacy.settings")
    names = importlib.import_module("rapport_privacy.telemetry")
    return {
        "settings": lambda: settings_table(settings.GateProcessSettings),
        "telemetry": lambda: names_table(declared_in(names)),
    }


def _ingest_tables() -> Mapping[str, Callable[[], str]]:
    mapping = importlib.import_module("rapport_local.ingest.mapping")
    columns = importlib.import_module("rapport_local.ingest.columns")
    parts = {
        "mapping": mapping.Mapping,
        "customers": mapping.Customers,
        "transactions": mapping.Transactions,
        "decisions": mapping.PastConsents,
        "declared": mapping.DeclaredItem,
        "retention": mapping.Retention,
        "cells": columns.Cell,
        "conditions": columns.Condition,
        "identifiers": columns.IdentifierCell,
    }
    return {name: partial(_keys, part) for name, part in parts.items()}


def _keys(part: type[BaseModel]) -> str:
    """Return what a part of a mapping may say."""
    rows = [
        f"| `{field.alias or name}` | {'required' if field.is_required() else ''} | {field.description} |"
        for name, field in part.model_fields.items()
    ]
    return "\n".join(["| Key | | Meaning |", "|---|---|---|", *rows])


def _methods(services: Iterable[ServiceDescriptor], said: Mapping[str, str]) -> str:
    rows = [
        f"| `{service.name}/{method.name}` | {said[method.name]} | {_rule(method)} |"
        for service in services
        for method in service.methods
    ]
    return "\n".join(["| Method | What it does | Needs |", "|---|---|---|", *rows])


def _rule(method: MethodDescriptor) -> str:
    access = access_of(method)
    if access is None:
        raise ValueError(f"{method.full_name} has no access rule")
    return f"`{access.permission}`" + (" and an operator" if access.human else "")


def events_of(service: str, said: Mapping[str, str]) -> str:
    """Return the table of the events that a service publishes.

    Args:
        service: Its name.
        said: What the contract says of each message.
    """
    importlib.import_module(f"rapport.{service}.v1.events_pb2")
    file = descriptor_pool.Default().FindFileByName(f"rapport/{service}/v1/events.proto")
    rows = []
    for message in file.message_types_by_name.values():
        event: Any = message.GetOptions().Extensions[event_pb2.event]
        if event.name:
            kind = event_pb2.EventKind.Name(event.kind).removeprefix("EVENT_KIND_").lower()
            rows.append(f"| `{event.name}` | {kind} | {said[message.name].partition(': ')[2]} |")
    return "\n".join(["| Event | Kind | When |", "|---|---|---|", *rows])


def comments(service: str) -> dict[str, str]:
    """Return what the contract says of each method and message."""
    said = {}
    for path in sorted((ROOT / "proto" / "rapport" / service / "v1").glob("*.proto")):
        for comment, name in _COMMENT.findall(path.read_text(encoding="utf-8")):
            said[name] = " ".join(line.strip().removeprefix("//").strip() for line in comment.splitlines())
    return said


def _framed(name: str, table: str) -> str:
    return f"<!-- table: {name} -->\n{table}\n<!-- end -->"


_PAGES: Final[Mapping[str, tuple[str, Callable[[], Mapping[str, Callable[[], str]]]]]] = {
    "gate": ("libs/privacy/EMBEDDING.md", _gate_tables),
    "ingest": ("deploy/local/INGEST.md", _ingest_tables),
}


if __name__ == "__main__":
    sys.exit(main())
