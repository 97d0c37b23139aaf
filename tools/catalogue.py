"""Writes docs/catalogue.md: every RPC, permission, event, error reason, setting and telemetry name of the suite.

python tools/catalogue.py            writes it
python tools/catalogue.py --check    fails if it is not what the code says
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from google.protobuf.descriptor import MethodDescriptor
from manifest_table import deployed
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.events import telemetry as events_telemetry
from rapport_chassis.rpc.foreign import FOREIGN, access_of
from rapport_chassis.settings import ServiceSettings
from rapport_chassis.settings_report import settings_table
from rapport_chassis.telemetry import conventions
from rapport_chassis.telemetry.names import declared_in, names_table
from rapport_privacy import telemetry as gate_telemetry
from tables import ROOT, comments, events_of

PAGE: Final = ROOT / "docs" / "catalogue.md"
_INTRODUCTION: Final = """\
# Catalogue

Everything that has a name others rely on. Written by `tools/catalogue.py` from the contracts and the code; lint says
when it is not current. Contracts only grow: what stands here stays.

- [Methods](#methods), [permissions](#permissions), [events](#events), [error reasons](#error-reasons),
  [settings](#settings), [telemetry](#telemetry)
"""


def main() -> int:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    fresh = catalogue()
    if not options.check:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(fresh, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != fresh:
        print(f"{PAGE.relative_to(ROOT)} is not what the code says: python tools/catalogue.py")
        return 1
    return 0


def catalogue() -> str:
    """Return the page."""
    parts = [
        _INTRODUCTION,
        "## Methods\n",
        *_each(_methods),
        "## Permissions\n",
        _permissions(),
        "## Events\n",
        *_each(lambda name: events_of(name, comments(name))),
        "## Error reasons\n",
        "Of the chassis, which every service may answer:\n",
        CHASSIS_ERRORS.markdown(),
        *_each(lambda name: _definition(name).errors.markdown()),
        "## Settings\n",
        "Of every service, with `RAPPORT_<SERVICE>_` before each name:\n",
        _trimmed(settings_table(ServiceSettings)),
        *_each(_own_settings),
        "## Telemetry\n",
        "Of every service:\n",
        names_table(declared_in(conventions, events_telemetry)),
        "Of whoever holds a consent gate:\n",
        names_table(declared_in(gate_telemetry)),
        *_each(_own_names),
    ]
    return "\n".join(f"{part.rstrip()}\n" for part in parts)


def _each(table: Any) -> Iterator[str]:
    """Yield a heading and a table for each service that has one."""
    for service in deployed():
        text = table(service.name)
        if text.count("\n") > 1:
            yield f"### {service.name}\n"
            yield text


def _definition(name: str) -> Any:
    return importlib.import_module(f"rapport_{name}.bootstrap").DEFINITION


def _offered(name: str) -> Iterable[MethodDescriptor]:
    services = importlib.import_module(f"rapport_{name}.bootstrap").SERVICES
    # What the chassis serves for everybody is no method of the service's contract.
    return [each for service in services if service.full_name not in FOREIGN for each in service.methods]


def _methods(name: str) -> str:
    said = {**comments("common"), **comments(name)}
    rows = ["| Method | Shape | What it does | Permission |", "|---|---|---|---|"]
    for method in _offered(name):
        access = access_of(method)
        if access is None:
            raise ValueError(f"{method.full_name} has no access rule")
        shape = "stream" if method.client_streaming else "unary"
        shape += ", stream" if method.server_streaming else ""
        needs = f"`{access.permission}`" + (", an operator" if access.human else "")
        path = f"{method.containing_service.name}/{method.name}"
        rows.append(f"| `{path}` | {shape} | {said.get(method.name, '')} | {needs} |")
    return "\n".join(rows)


def _permissions() -> str:
    methods: dict[str, list[str]] = defaultdict(list)
    human: set[str] = set()
    for service in deployed():
        for method in _offered(service.name):
            access = access_of(method)
            if access is None:
                continue
            methods[access.permission].append(f"`{method.name}`")
            if access.human:
                human.add(access.permission)
    rows = ["| Permission | Of | Operator |", "|---|---|---|"]
    for permission in sorted(methods):
        unique = ", ".join(dict.fromkeys(methods[permission]))
        rows.append(f"| `{permission}` | {unique} | {'yes' if permission in human else ''} |")
    return "\n".join(rows)


def _own_settings(name: str) -> str:
    prefix = f"RAPPORT_{name.upper()}_"
    common = set(_trimmed(settings_table(ServiceSettings)).splitlines())
    head, line, *rows = settings_table(_definition(name).settings_class).splitlines()
    return "\n".join([head, line, *(row for row in rows if row.replace(f"`{prefix}", "`", 1) not in common)])


def _trimmed(table: str) -> str:
    return table.replace("| `RAPPORT_", "| `")


def _own_names(name: str) -> str:
    own = importlib.import_module(f"rapport_{name}.telemetry")
    known = declared_in(conventions, events_telemetry, gate_telemetry)
    return names_table(each for each in declared_in(own) if each not in known)


if __name__ == "__main__":
    sys.exit(main())
