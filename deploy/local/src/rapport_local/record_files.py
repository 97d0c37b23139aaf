"""Files of records that an officer hands in: lines of JSON as the service takes them, or a table made into such."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

PIECE: Final = 256 * 1024
"""Most bytes that are sent at once."""

_OWN: Final = ("store", "record_id", "recorded_at", "redacted")


def pieces_of(path: Path, store: str) -> Iterator[bytes]:
    """Yield the records in a file as lines of JSON, in pieces cut anywhere; memory does not grow with the file.

    Args:
        path: The file: a table if its name ends in ".csv", lines of JSON else. In a table the columns "store",
            "record_id", "recorded_at" and "redacted" (names of columns, parted by blanks) are what they say, and every
            other one is a field of the record.
        store: Where records of a table without such a column are; empty where it has to have one.

    Raises:
        click.UsageError: A row has more cells than the table has columns, or no store is said; with its line.
        OSError: It cannot be read.
    """
    if path.suffix.lower() != ".csv":
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
        return
    waiting = bytearray()
    for line in _lines(path, store):
        waiting += line
        if len(waiting) >= PIECE:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def _lines(path: Path, store: str) -> Iterator[bytes]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        try:
            for number, row in enumerate(rows, start=1):
                if None in row:
                    raise click.UsageError(f"line {rows.line_num} of {path.name} has more cells than there are columns")
                cells = {name: cell for name, cell in row.items() if cell is not None}
                yield _line(cells, cells.get("store") or store, number, f"line {rows.line_num} of {path.name}")
        except (csv.Error, UnicodeDecodeError) as error:
            raise click.UsageError(f"{path.name} is no table after line {rows.line_num}: {error}") from None


def _line(cells: dict[str, str], store: str, number: int, where: str) -> bytes:
    if not store:
        raise click.UsageError(f"{where} says no store: add a column, or name one --store alone")
    record: dict[str, object] = {
        "store": store,
        "record_id": cells.get("record_id") or str(number),
        "data": {name: cell for name, cell in cells.items() if name not in _OWN},
    }
    if recorded_at := cells.get("recorded_at"):
        record["recorded_at"] = recorded_at
    if redacted := cells.get("redacted", "").split():
        record["redacted"] = redacted
    return json.dumps(record).encode() + b"\n"
