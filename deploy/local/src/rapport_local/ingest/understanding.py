"""The dry run: what of the files was understood, as a person checks it before anything is sent. Values are masked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from pydantic import BaseModel

from rapport_local.ingest import mapping as mapped
from rapport_local.ingest.cells import masked
from rapport_local.ingest.columns import Cell
from rapport_local.ingest.tables import Files, Item, Tables

_SAMPLED_ROWS: Final = 1000
_SAMPLES: Final = 3
_ROWS_NAMED: Final = 3
_SOMEBODY: Final = "prf_00000000000000000000"


class Understood(BaseModel):
    """What was understood of one column.

    Attributes:
        column: Its name; empty for a constant.
        field: What it becomes.
        filled: Share of the first rows that hold something.
        samples: The shape of some values: letters as x, digits as 9; of a constant, the constant.
    """

    column: str
    field: str
    filled: float
    samples: list[str]


class Problem(BaseModel):
    """A fault that rows have: which field, what is wrong, how many, and the first rows that have it."""

    field: str
    reason: str
    count: int
    rows: list[int]


class TableReport(BaseModel):
    """What was understood of one table.

    Attributes:
        stage: What it is called.
        source: The source that it becomes.
        rows: Rows read.
        left_out: Rows that do not belong to it, by its conditions.
        items: Customers, decisions or orders that would be sent.
        problems: What would be rejected.
        columns: What its columns become.
        unused: Columns that become nothing.
        missing: Columns that the mapping names and the file does not have.
    """

    stage: str
    source: str
    rows: int
    left_out: int
    items: int
    problems: list[Problem]
    columns: list[Understood]
    unused: list[str]
    missing: list[str]


@dataclass
class _Faults:
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    rows: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def add(self, number: int, path: str, reason: str) -> None:
        self.counts[path, reason] += 1
        rows = self.rows.setdefault((path, reason), [])
        if len(rows) < _ROWS_NAMED:
            rows.append(number)

    def problems(self) -> list[Problem]:
        return [
            Problem(field=path, reason=reason, count=count, rows=self.rows[path, reason])
            for (path, reason), count in self.counts.most_common()
        ]


def understand(mapping: mapped.Mapping, files: Files) -> Iterator[TableReport]:
    """Yield a report of each table; nothing is sent.

    Raises:
        Failure: A file cannot be read.
    """
    tables = Tables(mapping, files)
    for customers in mapping.customers:
        stage = f"customers {customers.file.name}"
        yield _report(stage, customers, files, tables.customers(stage, customers))
    for decisions in mapping.past_consents:
        stage = f"decisions {decisions.file.name}"
        yield _report(stage, decisions, files, tables.past_consents(stage, decisions, lambda _: _SOMEBODY))
    for transactions in mapping.transactions:
        stage = f"transactions {transactions.name}"
        yield _report(stage, transactions, files, tables.transactions(stage, transactions))


def _report(stage: str, table: mapped.Table, files: Files, items: Iterable[Item[Any]]) -> TableReport:
    rows = [each.row for each in islice(files.source(table).rows(), _SAMPLED_ROWS)]
    present = {name: None for row in rows for name in row}
    wanted = list(_fields(table))
    columns = [
        Understood(
            column=cell.column,
            field=path,
            filled=sum(bool((row.get(cell.column) or "").strip()) for row in rows) / max(1, len(rows))
            if cell.column
            else 1.0,
            samples=[cell.value] if cell.value else _samples(row.get(cell.column) for row in rows),
        )
        for path, cell in wanted
    ]
    used = {cell.column for _, cell in wanted} | {condition.column for condition in table.where}
    faults, sound = _Faults(), 0
    for item in items:
        if item.fault is None:
            sound += 1
        else:
            faults.add(item.number, item.fault.path, item.fault.reason)
    return TableReport(
        stage=stage,
        source=table.source,
        rows=files.rows[stage],
        left_out=files.left_out[stage],
        items=sound,
        problems=faults.problems(),
        columns=columns,
        unused=[name for name in present if name not in used],
        missing=sorted(name for name in used if name and name not in present),
    )


def _samples(values: Iterable[str | None]) -> list[str]:
    shapes = (masked(value.strip()) for value in values if value and value.strip())
    return [*dict.fromkeys(shapes)][:_SAMPLES]


def _fields(table: mapped.Table) -> Iterator[tuple[str, Cell]]:
    """Yield every field that a table fills, and the cell it comes from."""
    for name in type(table).model_fields:
        value = getattr(table, name)
        if isinstance(value, Cell):
            yield name, value
        elif name in ("key", "order", "customer"):
            yield name, Cell(column=value)
        elif name == "person":
            yield from ((f"person.{each}", cell) for each, cell in value.items())
        elif name == "identifiers":
            for each in value:
                yield " ".join(filter(None, (each.kind, each.namespace))), Cell(column=each.column)
