"""Features and labels of everyone at many cutoffs, from the log: the vectorised twin of a profile's state.

It is compiled from the same declarations into SQL and shares no code with the state but these, so that a test in which
both agree bit for bit says something.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.facts import DAY
from rapport_churn.domain.features import ORDERS, FeatureSet
from rapport_churn.domain.labels import Horizon, PopulationRule
from rapport_churn.training.compiled import Query, Snapshot, condition, known
from rapport_churn.training.frame import Column, Floats, Frame, Integers
from rapport_churn.training.log import EventLog

OPEN: Final = -1
"""The spend in a window that is not closed yet."""

Progress = Callable[[float], None]
_SUMMARY: Final = ("frequency", "recency", "tenure", "mean_value")


def rebuild(
    log: EventLog,
    features: FeatureSet,
    cutoffs: Sequence[int],
    horizon: Horizon,
    *,
    now: int,
    population: PopulationRule | None = None,
    most_rows: int | None = None,
    read_late_days: int = 0,
    progress: Progress | None = None,
) -> Frame:
    """Return what was known at cutoffs, and what happened then as it is known now.

    Args:
        log: A settled log.
        features: What to compute.
        cutoffs: When; in any order.
        horizon: How far labels look ahead.
        now: Only what has arrived by now tells what happened; of windows that are not closed by now the spend is `OPEN`,
            and whether a cutoff may train is the caller's to ask (`Horizon.is_closed`).
        population: Of whom; None for everyone with a fact.
        most_rows: If there are more rows, about so many are drawn, always the same ones.
        read_late_days: Reads features so much later than the cutoff, which is wrong: the control of leak tests.
        progress: Is told the share done after each cutoff.
    """
    base = [_base(cutoff, population) for cutoff in cutoffs]
    counts = [_count(log, each) for each in base]
    share = 1.0 if most_rows is None or sum(counts) <= most_rows else most_rows / sum(counts)
    parts = _Parts(features)
    for number, (cutoff, rows) in enumerate(zip(cutoffs, base, strict=True)):
        read_at = cutoff + read_late_days * DAY
        query = _query(features, _drawn(rows, cutoff, share), cutoff, read_at, horizon, now)
        parts.add(cutoff, horizon.value_is_closed(cutoff, now), log.connection.execute(query).fetchnumpy())
        if progress:
            progress((number + 1) / len(cutoffs))
    return parts.frame()


class _Parts:
    """Puts together the answers of one query a cutoff."""

    def __init__(self, features: FeatureSet) -> None:
        self._columns = tuple(Column(each.name, each.group.value, each.categorical) for each in features)
        self._values: list[Floats] = []
        self._others: dict[str, list[NDArray[Any]]] = {}

    def add(self, cutoff: int, value_closed: bool, answer: dict[str, NDArray[Any]]) -> None:
        rows = len(answer["profile"])
        values = np.empty((rows, len(self._columns)), np.float64)
        for index in range(len(self._columns)):
            values[:, index] = answer[f"f{index}"]
        self._values.append(values)
        next_days = np.asarray(answer["next_days"], np.float64)
        self._keep("profiles", answer["profile"].astype(np.int64))
        self._keep("cutoffs", np.full(rows, cutoff, np.int64))
        self._keep("churned", (next_days == inf).astype(np.int8))
        self._keep("next_days", next_days)
        self._keep("spend", answer["spend"].astype(np.int64) if value_closed else np.full(rows, OPEN, np.int64))
        for name in _SUMMARY:
            self._keep(name, np.asarray(answer[name], np.float64))

    def frame(self) -> Frame:
        values = _joined(self._values, np.empty((0, len(self._columns))))
        return Frame(
            columns=self._columns,
            values=values,
            profiles=self._integers("profiles"),
            cutoffs=self._integers("cutoffs"),
            churned=_joined(self._others.pop("churned", []), np.empty(0, np.int8)),
            next_days=self._floats("next_days"),
            spend=self._integers("spend"),
            frequency=self._floats("frequency"),
            recency=self._floats("recency"),
            tenure=self._floats("tenure"),
            mean_value=self._floats("mean_value"),
        )

    def _keep(self, name: str, column: NDArray[Any]) -> None:
        self._others.setdefault(name, []).append(column)

    def _integers(self, name: str) -> Integers:
        return _joined(self._others.pop(name, []), np.empty(0, np.int64))

    def _floats(self, name: str) -> Floats:
        return _joined(self._others.pop(name, []), np.empty(0, np.float64))


def _joined(parts: list[NDArray[Any]], none: NDArray[Any]) -> NDArray[Any]:
    """Return the parts as one array, and let each go once it is copied: two copies of all would be too much."""
    if not parts:
        return none
    whole = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    start = 0
    for index, part in enumerate(parts):
        whole[start : start + len(part)] = part
        start += len(part)
        parts[index] = none
    return whole


def _base(cutoff: int, population: PopulationRule | None) -> str:
    if population is None:
        return f"SELECT DISTINCT profile FROM facts WHERE {known(cutoff)}"
    return (
        f"SELECT profile FROM facts WHERE {condition(ORDERS)} AND {known(cutoff)} GROUP BY profile"
        f" HAVING {cutoff // DAY} - max(occurred // {DAY}) <= {population.active_days}"
        f" AND count(DISTINCT occurred // {DAY}) >= {population.order_days}"
    )


def _count(log: EventLog, base: str) -> int:
    row = log.connection.execute(f"SELECT count(*) FROM ({base})").fetchone()
    assert row is not None
    return int(row[0])


def _drawn(base: str, cutoff: int, share: float) -> str:
    """Draw rows by a mix of person and cutoff that anyone can repeat."""
    if share >= 1.0:
        return base
    mixed = f"(profile * 73856093 + {cutoff // DAY * 19349663 % 1_000_003}) % 1000003"
    return f"SELECT profile FROM ({base}) WHERE ({mixed} * 611953) % 1000003 < {int(share * 1_000_003)}"


def _outcome(cutoff: int, horizon: Horizon, now: int) -> str:
    value_end = cutoff + horizon.value_days * DAY
    return (
        "SELECT profile, min(occurred) AS next,"
        f" (coalesce(sum(value) FILTER (occurred <= {value_end}), 0))::BIGINT AS spend"
        f" FROM facts WHERE {condition(ORDERS)} AND {known(now)} AND occurred > {cutoff} GROUP BY profile"
    )


def _query(features: FeatureSet, base: str, cutoff: int, read_at: int, horizon: Horizon, now: int) -> str:
    snapshot = Snapshot(features, read_at)
    parts = [
        Query("base", base, joined=False),
        *snapshot.queries(),
        Query("outcome", _outcome(cutoff, horizon, now), joined=True),
    ]
    last = cutoff + horizon.days * DAY
    columns = {
        **{f"f{index}": column for index, column in enumerate(snapshot.columns())},
        **snapshot.summary(),
        "next_days": f"CASE WHEN next <= {last} THEN (next - {cutoff})::DOUBLE / {DAY}::DOUBLE ELSE 'inf'::DOUBLE END",
        "spend": "coalesce(spend, 0)",
    }
    return (
        f"WITH {', '.join(f'{each.name} AS ({each.text})' for each in parts)}"
        f" SELECT base.profile, {', '.join(f'{text} AS {name}' for name, text in columns.items())}"
        f" FROM base {' '.join(f'LEFT JOIN {each.name} USING (profile)' for each in parts if each.joined)}"
        " ORDER BY base.profile"
    )  # made of declared numbers
