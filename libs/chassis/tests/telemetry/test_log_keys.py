from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import rapport_chassis
from rapport_chassis.telemetry.log_filter import LOG_KEYS, event_code

SOURCES = Path(rapport_chassis.__file__).parent


def logged(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Calls of the form `get_logger().level(event, key=value)` or `.log(level, event, key=value)`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            maker = node.func.value
            if isinstance(maker, ast.Call) and isinstance(maker.func, ast.Name) and maker.func.id == "get_logger":
                yield f"{path.name}:{node.lineno}", node


def test_the_chassis_logs_declared_keys_and_codes_only() -> None:
    calls = [found for path in SOURCES.rglob("*.py") for found in logged(path)]
    assert len(calls) > 10
    undeclared = {
        (place, word.arg) for place, call in calls for word in call.keywords if word.arg not in (*LOG_KEYS, "exc_info")
    }
    assert undeclared == set()
    events = {(place, part.value) for place, call in calls for part in call.args[-1:] if isinstance(part, ast.Constant)}
    assert {(place, event) for place, event in events if event_code(event) != event} == set()
