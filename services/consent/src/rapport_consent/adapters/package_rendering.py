"""Renders a package: `python -m rapport_consent.adapters.package_rendering FOLDER`, a process of low priority.

Reads the records of each store three times, line by line, for JSON, table and pages: memory does not grow with them.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from rapport_consent.adapters.package_spool import (
    ARCHIVE,
    LETTER,
    Rendered,
    RenderedFile,
    read_plan,
    records_file,
    write_rendered,
)
from rapport_consent.domain.package_cells import cell_of, flattened, plain_name, safe_cell, safe_name, without
from rapport_consent.domain.package_pages import RECORDS_ON_PAGE, StoreFiles, Texts, index_page, record_page
from rapport_consent.domain.packages import Origin, PackageKind, PackagePlan, StoreInfo, StoreTally

UNREADABLE: Final = 3
"""What the process ends with where a participant exported what is no record."""

_LOWEST_PRIORITY: Final = 19
_MOST_COLUMNS: Final = 300
_REST: Final = "(more)"
_MADE: Final = (1980, 1, 1, 0, 0, 0)


class UnreadableRecordError(Exception):
    """A participant exported what is no JSON object."""


def package_texts(locale: str) -> tuple[str, Texts]:
    """Return the words of a language, and which it is: another than those there are becomes English."""
    every = json.loads(_data("package_texts.json"))
    language = locale.replace("_", "-").split("-")[0].lower()
    found = language if language in every else "en"
    return found, every[found]


class Rendering:
    """Writes one archive."""

    def __init__(self, plan: PackagePlan, folder: Path, archive: ZipFile) -> None:
        language, self._texts = package_texts(plan.locale)
        self._plan = replace(plan, locale=language)
        self._folder = folder
        self._archive = archive
        self._forbidden = frozenset(map(plain_name, json.loads(_data("never_disclosed.json"))["fields"]))
        self.files: list[RenderedFile] = []
        self.tallies: list[StoreTally] = []

    def run(self) -> None:
        """Write everything but the manifest."""
        stores = [self._store(number, info) for number, info in enumerate(self._plan.stores)]
        letter = self._letter()
        self._write("index.html", index_page(self._plan, stores, self._texts, letter), 0)

    def _letter(self) -> str:
        """Add the letter; return its name, empty for none."""
        path = self._folder / LETTER
        if not path.exists():
            return ""
        with entry(self._archive, LETTER) as (write, digest):
            write(path.read_bytes())
        self.files.append(RenderedFile(LETTER, *digest(), 0))
        return LETTER

    def _store(self, number: int, info: StoreInfo) -> StoreFiles:
        path = records_file(self._folder, number)
        if self._plan.kind is PackageKind.PORTABILITY and info.origin not in (Origin.PROVIDED, Origin.OBSERVED):
            tally = StoreTally(info.participant, info.store, 0, {}, 0, excluded=_lines_in(path))
            self.tallies.append(tally)
            return StoreFiles(info, tally, (), ())
        withheld: dict[str, int] = {}
        columns: dict[str, None] = {}
        count = redacted = 0
        for record in self._records(path, withheld):
            count += 1
            redacted += record.pop("redacted")
            for key, _ in flattened(record["data"]):
                if len(columns) < _MOST_COLUMNS:
                    columns.setdefault(".".join(key))
        tally = StoreTally(info.participant, info.store, count, withheld, redacted)
        self.tallies.append(tally)
        if not count:
            return StoreFiles(info, tally, (), ())
        name = f"{safe_name(info.participant)}/{safe_name(info.store)}"
        tables = (f"data/{name}.json", f"data/{name}.csv")
        self._write(tables[0], _json_lines(self._records(path, {})), count)
        self._write(tables[1], _csv_lines(self._records(path, {}), list(columns)), count)
        return StoreFiles(info, tally, tuple(self._pages(info, path, count)), tables)

    def _pages(self, info: StoreInfo, path: Path, count: int) -> Iterator[str]:
        records = self._records(path, {})
        pages = -(-count // RECORDS_ON_PAGE)
        for number in range(1, pages + 1):
            name = f"pages/{safe_name(info.participant)}-{safe_name(info.store)}-{number}.html"
            shown = islice(records, RECORDS_ON_PAGE)
            self._write(name, record_page(self._plan, info, shown, number, pages, self._texts), 0)
            yield name

    def _records(self, path: Path, withheld: dict[str, int]) -> Iterator[dict[str, Any]]:
        """Yield the records in a file as they are handed out."""
        if not path.exists():
            return
        mark = self._texts["redacted"]
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                record_id, recorded_at, text, redacted = json.loads(line)
                data = without(_object(text), self._forbidden, withheld)
                data.update({key: mark for key in redacted if plain_name(key) not in self._forbidden})
                yield {"record_id": record_id, "recorded_at": recorded_at, "data": data, "redacted": len(redacted)}

    def _write(self, path: str, parts: Iterable[str], records: int) -> None:
        with entry(self._archive, path) as (write, digest):
            for part in parts:
                write(part.encode())
        self.files.append(RenderedFile(path, *digest(), records))


@contextmanager
def entry(archive: ZipFile, path: str) -> Iterator[tuple[Callable[[bytes], None], Callable[[], tuple[str, int]]]]:
    """Give two functions: one writes to a new file of an archive, the other tells its digest and size afterwards."""
    hashed, size = sha256(), 0
    info = ZipInfo(path, _MADE)
    info.compress_type = ZIP_DEFLATED
    info.external_attr = 0o600 << 16

    def write(data: bytes) -> None:
        nonlocal size
        hashed.update(data)
        size += len(data)
        target.write(data)

    target: IO[bytes]
    with archive.open(info, "w", force_zip64=True) as target:
        yield write, lambda: (hashed.hexdigest(), size)


def _json_lines(records: Iterable[dict[str, Any]]) -> Iterator[str]:
    before = "[\n"
    for record in records:
        shown = {"record_id": record["record_id"], "recorded_at": record["recorded_at"], "data": record["data"]}
        yield before + json.dumps(shown, ensure_ascii=False)
        before = ",\n"
    yield "\n]\n"


def _csv_lines(records: Iterable[dict[str, Any]], columns: list[str]) -> Iterator[str]:
    """Yield lines of a table (RFC 4180), with a mark by which spreadsheets know that it is UTF-8."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)

    def line(cells: Iterable[str]) -> str:
        writer.writerow(cells)
        text = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return text

    known = frozenset(columns)
    wide = len(columns) >= _MOST_COLUMNS
    heads = ("record_id", "recorded_at", *map(safe_cell, columns), *((_REST,) if wide else ()))
    yield "\ufeff" + line(heads)
    for record in records:
        values = {".".join(key): value for key, value in flattened(record["data"])}
        rest = {key: value for key, value in values.items() if key not in known}
        cells = [cell_of(values.get(column)) for column in columns]
        yield line([safe_cell(record["record_id"]), record["recorded_at"], *cells, *([cell_of(rest)] if wide else [])])


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableRecordError from error
    if not isinstance(found, dict):
        raise UnreadableRecordError
    return found


def _lines_in(path: Path) -> int:
    if not path.exists():
        return 0
    with path.open("rb") as lines:
        return sum(1 for _ in lines)


def _data(name: str) -> str:
    return files("rapport_consent.domain").joinpath(f"data/{name}").read_text(encoding="utf-8")


def render(folder: Path) -> None:
    """Render the package that is planned in a folder.

    Raises:
        UnreadableRecordError: A record is no JSON object.
    """
    plan = read_plan(folder)
    with (folder / ARCHIVE).open("wb") as file, ZipFile(file, "w", ZIP_DEFLATED) as archive:
        rendering = Rendering(plan, folder, archive)
        rendering.run()
    write_rendered(folder, Rendered(rendering.files, rendering.tallies, _peak_kib()))


def _peak_kib() -> int:
    """Return the most memory that was resident in this process; getrusage would count what it was forked from, too."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) if found else 0


def main() -> int:
    """Render, at the lowest priority."""
    os.nice(_LOWEST_PRIORITY)
    try:
        render(Path(sys.argv[1]))
    except (UnreadableRecordError, RecursionError):
        return UNREADABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
