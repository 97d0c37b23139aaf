"""Logs: one JSON line per event on standard output, tied to the trace, holding nothing that names a person.

Own code calls `get_logger().info("codes_like_this", key=value)`. Libraries' records go through the same filter: of
them only logger, place and exception class are kept, since their messages may hold anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from rapport_chassis.telemetry.conventions import DROPPED_KEYS
from rapport_chassis.telemetry.log_filter import LOG_KEYS, described, event_code, filtered
from rapport_chassis.telemetry.names import Attribute
from rapport_chassis.telemetry.tracing import current_context

if TYPE_CHECKING:
    from rapport_chassis.telemetry.setup import Telemetry

_FORMAT = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_NOISY = ("uvicorn.access",)
"""Loggers that write one line per request with the peer's address: RED metrics and spans say the same without it."""


_context: ContextVar[Callable[[], Mapping[str, Any]] | None] = ContextVar("rapport_log_context", default=None)


def set_log_context(values: Callable[[], Mapping[str, Any]]) -> None:
    """Add values to every line the running task logs from now on; they are asked for only when a line is written."""
    _context.set(values)


def get_logger() -> FilteringBoundLogger:
    """The logger of the process; call it where it is used, it keeps nothing."""
    return cast(FilteringBoundLogger, structlog.get_logger())


def configure_logging(
    service: str,
    version: str,
    *,
    telemetry: Telemetry | None = None,
    level: str = "info",
    keys: Iterable[Attribute] = (),
    stream: TextIO | None = None,
) -> None:
    """Route all logs of the process, the libraries' too, through the filter; calling it again replaces the routing.

    Args:
        service: name of the service.
        version: its release.
        telemetry: counts dropped keys and, with a collector, sends the lines there too.
        level: least severity written; libraries write warnings and worse.
        keys: the service's own keys, beside those of the chassis.
        stream: where lines go instead of standard output.
    """
    complete = _Completion(service, version, frozenset((*LOG_KEYS, *keys)), telemetry)
    structlog.configure(
        processors=[complete, _render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        context_class=dict,
        logger_factory=lambda *_: _Output(stream or sys.stdout),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _LibraryHandler)]:
        root.removeHandler(handler)
    root.addHandler(_LibraryHandler())
    root.setLevel(logging.WARNING)
    for name in _NOISY:
        logging.getLogger(name).disabled = True


def guard_process() -> None:
    """Log what would end a process or a thread, without its texts, instead of printing a traceback."""

    def crashed(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        get_logger().critical("process_crashed", exc_info=error)

    def thread_crashed(arguments: threading.ExceptHookArgs) -> None:
        get_logger().critical("thread_crashed", exc_info=arguments.exc_value)

    def unraisable(arguments: sys.UnraisableHookArgs) -> None:
        get_logger().error("exception_ignored", exc_info=arguments.exc_value)

    sys.excepthook = crashed
    threading.excepthook = thread_crashed
    sys.unraisablehook = unraisable


def guard_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Log exceptions that nobody awaited, without their texts."""

    def failed(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        get_logger().error("task_failed", exc_info=context.get("exception"))

    loop.set_exception_handler(failed)


class _Completion:
    """The structlog processor that filters an event and adds what every line says."""

    def __init__(self, service: str, version: str, allowed: frozenset[str], telemetry: Telemetry | None) -> None:
        self._service = service
        self._version = version
        self._allowed = allowed
        self._dropped = telemetry.meter.counter(DROPPED_KEYS).of() if telemetry else None
        self._sink = telemetry.log_sink if telemetry else None

    def __call__(self, logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
        code = event_code(event.pop("event", None))
        error = _exception(event.pop("exc_info", None))
        for implied in ("stack_info", "level"):
            event.pop(implied, None)
        context_values = _context.get()
        if context_values is not None:
            event = {**context_values(), **event}
        values, dropped = filtered(event, self._allowed)
        if error is not None:
            values |= described(error)
        line: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": level,
            "event": code,
            "service": self._service,
            "version": self._version,
        }
        context = current_context()
        if context is not None:
            line["trace_id"] = f"{context.trace_id:032x}"
            line["span_id"] = f"{context.span_id:016x}"
        line |= values
        if dropped:
            line["dropped_keys"] = dropped
            if self._dropped is not None:
                self._dropped.add(dropped)
        if self._sink is not None:
            self._sink.emit(level, code, values)
        return line


def _render(_: WrappedLogger, __: str, event: EventDict) -> str:
    return _FORMAT(event)


class _Output:
    """Writes lines. A reader that has gone away must not fail the call that logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = write


class _LibraryHandler(logging.Handler):
    """Standard-library records of libraries, through the same filter."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log who, where and how bad. The message itself may hold anything, so it is left out."""
        source = f"{record.module}:{record.lineno}:{record.funcName}"
        level = record.levelname.lower() if record.levelname in _LEVELS else "warning"
        getattr(get_logger(), level)("library_event", library=record.name, source=source, exc_info=record.exc_info)


def _exception(given: object) -> BaseException | None:
    """The exception that `exc_info` stands for, in any of the forms the standard library allows."""
    match given:
        case BaseException():
            return given
        case (_, BaseException() as error, _):
            return error
        case True:
            return sys.exc_info()[1]
        case _:
            return None
