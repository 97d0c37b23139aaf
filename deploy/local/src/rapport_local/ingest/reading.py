"""Rows of files: CSV, JSON lines and Parquet, numbered as a person counts them, and never all of them in memory."""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from rapport_local.failure import Failure
from rapport_local.ingest.cells import Fault, Row

_PARQUET_AT_ONCE: Final = 2000
_CHUNK_BYTES: Final = 1 << 20
_UNSORTED: Final = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; CREATE TABLE rows (key, at, row);"
_SORTED: Final = "SELECT key, at, row FROM rows ORDER BY min(at) OVER (PARTITION BY key), at"


class Numbered(NamedTuple):
    """A row, or why it cannot be read, with its line in the file (in Parquet: its row)."""

    number: int
    row: Row
    fault: Fault | None = None


@dataclass(frozen=True)
class Source:
    """A file to read.

    Attributes:
        path: Where it is.
        format: What it is: csv, jsonl, parquet; empty: by its ending.
    """

    path: Path
    format: str = ""

    def rows(self) -> Iterator[Numbered]:
        """Yield all rows, in the order of the file; every value as text.

        Raises:
            Failure: The file cannot be read, or is of none of the formats.
        """
        kind = self.format or self.path.suffix.removeprefix(".").replace("ndjson", "jsonl")
        reader = {"csv": _csv, "jsonl": _json_lines, "parquet": _parquet}.get(kind)
        if reader is None:
            raise Failure(f"{self.path}: neither CSV, JSON lines nor Parquet", hint="say `format:` in the mapping")
        try:
            yield from reader(self.path)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise Failure(f"{self.path} cannot be read", details=str(error)) from error

    def sha256(self) -> bytes:
        """Return the digest of the file.

        Raises:
            Failure: The file cannot be read.
        """
        digest = hashlib.sha256()
        try:
            with self.path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
        except OSError as error:
            raise Failure(f"{self.path} cannot be read", details=str(error)) from error
        return digest.digest()


def grouped(rows: Iterable[Numbered], column: str) -> Iterator[list[Numbered]]:
    """Yield the rows that have the same value in a column together, in the order in which each value first comes.

    Rows that cannot be read come alone. They are sorted on disk.
    """
    with (
        tempfile.TemporaryDirectory(prefix="rapport-ingest-") as folder,
        closing(sqlite3.connect(f"{folder}/rows")) as store,
    ):
        store.executescript(_UNSORTED)
        broken: list[Numbered] = []
        store.executemany("INSERT INTO rows VALUES (?, ?, ?)", _keyed(rows, column, broken))
        yield from ([each] for each in broken)
        together: list[Numbered] = []
        last: object = None
        for key, number, row in store.execute(_SORTED):
            if together and key != last:
                yield together
                together = []
            last = key
            together.append(Numbered(number, json.loads(row)))
        if together:
            yield together


def _keyed(rows: Iterable[Numbered], column: str, broken: list[Numbered]) -> Iterator[tuple[str, int, str]]:
    for each in rows:
        if each.fault is not None:
            broken.append(each)
        else:
            yield (each.row.get(column) or "").strip(), each.number, json.dumps(each.row)


def _csv(path: Path) -> Iterator[Numbered]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=_delimiter(file.readline()))
        file.seek(0)
        header = [name.strip() for name in next(reader, [])]
        for values in reader:
            if not values:
                continue
            fault = None
            if len(values) != len(header):
                fault = Fault("row", f"has {len(values)} values, not {len(header)}")
            yield Numbered(reader.line_num, dict(zip(header, values, strict=False)), fault)


def _delimiter(header: str) -> str:
    return max(",;\t|", key=header.count)


def _json_lines(path: Path) -> Iterator[Numbered]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                read = json.loads(line, parse_float=str, parse_int=str)
            except json.JSONDecodeError:
                read = None
            if isinstance(read, dict):
                yield Numbered(number, {name: _as_text(value) for name, value in read.items()})
            else:
                yield Numbered(number, {}, Fault("row", "is no JSON object"))


def _as_text(value: Any) -> str | None:
    return value if isinstance(value, str | None) else json.dumps(value)


def _parquet(path: Path) -> Iterator[Numbered]:
    import duckdb  # only a file of this kind needs it

    if not path.is_file():
        raise FileNotFoundError(path)
    with closing(duckdb.connect()) as connection:
        connection.execute("SET threads = 1")
        found = connection.execute("SELECT CAST(COLUMNS(*) AS VARCHAR) FROM read_parquet(?)", [str(path)])
        names = [column[0] for column in connection.description]
        number = 0
        while rows := found.fetchmany(_PARQUET_AT_ONCE):
            for values in rows:
                number += 1
                yield Numbered(number, dict(zip(names, values, strict=True)))
