"""The public data: two event logs of shops, as facts, and two tables with a churn flag."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
from rapport_churn.domain.facts import FactKind
from rapport_churn.training.frame import Column, Frame
from rapport_churn.training.log import EventLog

FOLDER: Final = Path(__file__).resolve().parents[4] / "shared" / "data" / "churn"

# An invoice is an order if its lines are worth something in all, and a return if they take away.
_RETAIL: Final = """
WITH invoices AS (
    SELECT invoice, cid, min(ts) AS began, sum(round(100 * qty * price)::BIGINT) AS amount, sum(abs(qty)) AS items
    FROM '{path}' WHERE cid IS NOT NULL GROUP BY ALL
)
SELECT invoice || '/' || cid AS fact_id, cid::VARCHAR AS profile_id, 1::BIGINT AS owner_version,
    CASE WHEN amount < 0 OR invoice LIKE 'C%' THEN {returned} ELSE {order} END AS kind,
    epoch_us(began) AS occurred_at, epoch_us(began) AS arrived_at, abs(amount)::BIGINT AS value,
    items::BIGINT AS quantity, 0::BIGINT AS channel
FROM invoices WHERE amount <> 0 ORDER BY ALL
"""
_CDNOW: Final = """
SELECT 'o' || row_number() OVER (ORDER BY cid, date, n, amt) AS fact_id, lpad(cid::VARCHAR, 6, '0') AS profile_id,
    1::BIGINT AS owner_version, {order} AS kind, epoch_us(date::TIMESTAMP) AS occurred_at,
    epoch_us(date::TIMESTAMP) AS arrived_at, round(100 * amt)::BIGINT AS value, n AS quantity, 0::BIGINT AS channel
FROM '{path}' ORDER BY ALL
"""
_LOGS: Final[Mapping[str, tuple[str, str]]] = {
    "retail": ("online_retail_ii_to_2011-06-09", _RETAIL),
    "cdnow": ("cdnow", _CDNOW),
}


def facts_of(name: str) -> Mapping[str, Any]:
    """Return the facts of a log, as arrays by the name of the field.

    Args:
        name: "retail" or "cdnow".
    """
    file, query = _LOGS[name]
    text = query.format(path=FOLDER / f"{file}.parquet", order=int(FactKind.ORDER), returned=int(FactKind.RETURNED))
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        facts: Mapping[str, Any] = connection.execute(text).fetchnumpy()
    return facts


def log_of(name: str, until: int | None = None) -> EventLog:
    """Return a settled log.

    Args:
        name: "retail" or "cdnow".
        until: Only facts that happened up to this instant; all if not given.
    """
    facts = facts_of(name)
    log = EventLog()
    chosen = slice(None) if until is None else facts["occurred_at"] <= until
    log.add_table({field: column[chosen] for field, column in facts.items()})
    log.settle()
    return log


def instant(text: str) -> int:
    """Return the microseconds of a date in ISO form, at midnight UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def telco() -> Frame:
    """Return the Telco table: 7,043 rows, 26.5 % churn."""
    return _table("telco", "Churn", lambda value: value == "Yes", leave_out=("customerID",))


def mlc_churn() -> Frame:
    """Return the mlc table: 5,000 rows, 14.1 % churn."""
    return _table("mlc_churn", "churn", lambda value: value == "yes")


def _table(file: str, label: str, churned: Callable[[str], bool], leave_out: tuple[str, ...] = ()) -> Frame:
    with gzip.open(FOLDER / f"{file}.csv.gz", "rt", encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    names = [name for name in rows[0] if name != label and name not in leave_out]
    columns, values = [], np.empty((len(rows), len(names)))
    for at, name in enumerate(names):
        words = [row[name].strip() for row in rows]
        coded = not all(_is_number(word) for word in words)
        codes = {word: float(code) for code, word in enumerate(sorted(set(words)))}
        values[:, at] = [codes[word] if coded else float(word or "nan") for word in words]
        columns.append(Column(name, name, coded))
    count = len(rows)
    return Frame(
        columns=tuple(columns),
        values=values,
        profiles=np.arange(count, dtype=np.int64),
        cutoffs=np.zeros(count, np.int64),
        churned=np.array([churned(row[label]) for row in rows], np.int8),
        next_days=np.full(count, np.inf),
        spend=np.zeros(count, np.int64),
        frequency=np.empty(0),
        recency=np.empty(0),
        tenure=np.empty(0),
        mean_value=np.empty(0),
    )


def _is_number(word: str) -> bool:
    try:
        float(word or "nan")
    except ValueError:
        return False
    return True
