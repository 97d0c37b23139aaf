"""What may stand in a log line: declared keys, codes and numbers; never texts of exceptions, payloads or addresses.

Pure. Whatever is not known to be harmless is replaced, so that a careless call cannot write a person into a log.
"""

import re
import traceback
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum
from pathlib import PurePath
from typing import Any

from rapport_chassis.telemetry.names import Attribute
from rapport_chassis.telemetry.tracing import error_type

VALUE_LIMIT = 200
LIST_LIMIT = 20
_EVENT = re.compile(r"[a-z][a-z0-9_.]{0,63}")
_CODE = re.compile(rf"[A-Za-z0-9_.:/<>\[\]{{}}*#=,-]{{0,{VALUE_LIMIT}}}")  # no spaces, no "@", no "+"
_OURS = re.compile(r"(rapport_\w+/.*)")

LOG_KEYS = (
    Attribute("reason", "Stable reason code of a refusal or a failure."),
    Attribute("code", "Status code of an answer."),
    Attribute("error", "Class of an exception, or the reason it carries."),
    Attribute("caused_by", "Classes of the exceptions behind it."),
    Attribute("frames", "Where in our own code an exception passed."),
    Attribute("library", "Library that logged."),
    Attribute("source", "File, line and function that logged, for libraries."),
    Attribute("method", "RPC method, package.Service/Method."),
    Attribute("caller", "Name in the caller's certificate."),
    Attribute("permission", "Permission a method needs."),
    Attribute("component", "Part of the process."),
    Attribute("role", "api, events or relay."),
    Attribute("check", "Dependency check."),
    Attribute("state", "State after a change."),
    Attribute("previous", "State or value before a change."),
    Attribute("signal", "Operating system signal."),
    Attribute("listening", "host:port of an own listener."),
    Attribute("target", "host:port or name of a dependency."),
    Attribute("file", "Path of a file, or what it is for."),
    Attribute("environment", "local, test or production."),
    Attribute("release", "Release of a service or a schema."),
    Attribute("migration", "Database migration."),
    Attribute("table", "Database table."),
    Attribute("operation_id", "Long-running operation."),
    Attribute("event_id", "Event."),
    Attribute("type", "Event or message type."),
    Attribute("destination", "Stream and event; never a subject."),
    Attribute("stream", "JetStream stream."),
    Attribute("sequence", "Place in a stream."),
    Attribute("consumer", "Durable consumer."),
    Attribute("attempt", "How many times it was tried."),
    Attribute("epoch", "Epoch of the consent ledger."),
    Attribute("position", "Position in the consent ledger."),
    Attribute("after", "Position or sequence after which something happens."),
    Attribute("kid", "Id of a signing key."),
    Attribute("count", "How many."),
    Attribute("limit", "Largest number allowed."),
    Attribute("bytes", "Size."),
    Attribute("seconds", "Duration or age."),
    Attribute("delay_s", "Wait before the next attempt."),
    Attribute("pid", "Process id."),
    Attribute("exit_code", "Exit code of a process."),
    Attribute("failpoint", "Armed failpoint."),
)
"""The keys of the chassis; a service adds its own to `configure_logging`."""


def filtered(values: Mapping[str, Any], allowed: frozenset[str]) -> tuple[dict[str, Any], int]:
    """The allowed keys with bounded values, and how many keys were dropped."""
    kept = {key: bounded(value) for key, value in values.items() if key in allowed}
    return kept, len(values) - len(kept)


def event_code(event: object) -> str:
    """The event if it is a code (lower-case words joined by `_` or `.`), else `unnamed_event`."""
    return event if isinstance(event, str) and _EVENT.fullmatch(event) else "unnamed_event"


def bounded(value: object) -> Any:
    """The value if it is a number, a time or a code without spaces, else what kind of thing it was."""
    match value:
        case None | bool() | int() | float():
            return value
        case Enum():
            return value.name
        case str() | PurePath():
            text = str(value)
            return text if _CODE.fullmatch(text) else f"<text {len(text)}>"
        case datetime():
            return value.isoformat()
        case list() | tuple() | set() | frozenset():
            return [bounded(item) for item in list(value)[:LIST_LIMIT]]
        case BaseException():
            return error_type(value)
        case _:
            return f"<{type(value).__name__}>"


def described(error: BaseException) -> dict[str, Any]:
    """An exception without its texts: class or reason, the classes behind it, and our own frames, innermost last."""
    fields: dict[str, Any] = {"error": error_type(error), "frames": _frames(error)}
    behind: list[str] = []
    cause = error.__cause__ or error.__context__
    while cause is not None and len(behind) < 5:
        behind.append(type(cause).__qualname__)
        cause = cause.__cause__ or cause.__context__
    if behind:
        fields["caused_by"] = behind
    return fields


def _frames(error: BaseException) -> list[str]:
    frames: Iterable[traceback.FrameSummary] = traceback.StackSummary.extract(
        traceback.walk_tb(error.__traceback__), lookup_lines=False
    )
    named = ((_OURS.search(frame.filename), frame) for frame in frames)
    return [f"{found[1]}:{frame.lineno}:{frame.name}" for found, frame in named if found][-LIST_LIMIT:]
