"""Logs of all processes as a person reads them: one line per event, in order of time, services in colour."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.text import Text

_LEVELS: Final = {"debug": "dim", "info": "green", "warning": "yellow", "error": "red", "critical": "bold red"}
_COLOURS: Final = ("cyan", "magenta", "blue", "green", "yellow")
_SHOWN_ELSEWHERE: Final = frozenset({"time", "level", "event", "service", "version", "trace_id", "span_id"})
_TIME: Final = re.compile(rb"(\d{4}[-/]\d\d[-/]\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?")
_POLL_S: Final = 0.1
_TAIL_BYTES: Final = 4 * 1024**2


@dataclass(frozen=True)
class LogLine:
    """One line of one process's log.

    Attributes:
        process: Whose log.
        when: Time of the event as text that sorts; of a line without one, that of the line before it.
        raw: The line as written.
    """

    process: str
    when: str
    raw: bytes

    def text(self) -> Text:
        """Return the line for a person."""
        colour = _COLOURS[sum(self.process.encode()) % len(_COLOURS)]
        line = Text.assemble((f"{self.when[11:19]:<8} ", "dim"), (f"{self.process:<9} ", colour))
        document = _document(self.raw)
        if document is None:
            return line.append(self.raw.decode("utf-8", "replace"))
        level = str(document.get("level", ""))
        line.append(f"{level:<8} ", _LEVELS.get(level, ""))
        line.append(str(document.get("event", "")), "bold")
        for key, value in document.items():
            if key not in _SHOWN_ELSEWHERE:
                line.append(f" {key}=", "dim").append(_value(value))
        if "trace_id" in document:
            line.append(f" trace {str(document['trace_id'])[:8]}", "dim")
        return line


class LogFile:
    """Reads the log of one process, and later what was added to it."""

    def __init__(self, process: str, path: Path) -> None:
        self._process = process
        self._path = path
        self._offset = 0
        self._when = ""

    def new_lines(self) -> list[LogLine]:
        """Return the whole lines that were added since the last time, or all of a file that was begun anew."""
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, 2)
                if size < self._offset:
                    self._offset = 0
                # Of a long log, the end: its first line is a part of one.
                if self._offset == 0 and size > _TAIL_BYTES:
                    file.seek(size - _TAIL_BYTES)
                    file.readline()
                    self._offset = file.tell()
                file.seek(self._offset)
                block = file.read()
        except OSError:
            return []
        end = block.rfind(b"\n") + 1
        self._offset += end
        return [self._line(raw) for raw in block[:end].splitlines()]

    def _line(self, raw: bytes) -> LogLine:
        match = _TIME.search(raw[:200])
        if match is not None:
            date, clock, fraction = match.groups()
            self._when = f"{date.decode().replace('/', '-')}T{clock.decode()}{(fraction or b'').decode()}"
        return LogLine(self._process, self._when, raw)


def last_lines(files: list[LogFile], limit: int) -> list[LogLine]:
    """Return the last lines of all logs together, in order of time."""
    lines = [line for file in files for line in file.new_lines()]
    return sorted(lines, key=lambda line: line.when)[-limit:] if limit else []


def follow(files: list[LogFile]) -> Iterator[LogLine]:
    """Yield lines as they are written, for ever."""
    while True:
        yield from sorted((line for file in files for line in file.new_lines()), key=lambda line: line.when)
        time.sleep(_POLL_S)


def _document(raw: bytes) -> dict[str, Any] | None:
    if not raw.startswith(b"{"):
        return None
    try:
        document = json.loads(raw)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _value(value: object) -> str:
    if isinstance(value, list):
        return ",".join(str(each) for each in value)
    return str(value)
