"""Declared features as SQL: one query for each source, whose answers are joined by person.

Text of queries is made of declared numbers alone. A measure is a BIGINT; NULL is an absent one; what is computed of them
is DOUBLE, operation by operation as the declarations say it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from rapport_churn.domain.facts import DAY, SECOND
from rapport_churn.domain.features import ORDERS, FeatureSet
from rapport_churn.domain.terms import (
    WINDOWED,
    Aggregate,
    Excess,
    Measure,
    Month,
    Ratio,
    Source,
    Term,
    Variation,
    Window,
)

BY_DAY: Final = frozenset({Aggregate.DAYS, Aggregate.GAPS, Aggregate.SPAN, Aggregate.SQUARES, Aggregate.LAST_GAP})
_SUMS: Final = {Aggregate.COUNT: "count(*)", Aggregate.VALUE: "sum(value)", Aggregate.QUANTITY: "sum(quantity)"}
_DAILY: Final = {
    Aggregate.GAPS: "count(*) - 1",
    Aggregate.SPAN: "max(day) - min(day)",
    Aggregate.SQUARES: "coalesce(sum(gap * gap), 0)",
    Aggregate.LAST_GAP: "arg_max(gap, day)",
}
_CHANNELS: Final = 256


class Query(NamedTuple):
    """A part of a snapshot: a named query, and whether the snapshot is joined to it by person or only others use it."""

    name: str
    text: str
    joined: bool


def known(at: int) -> str:
    """Return the condition that a fact had happened and had arrived by an instant."""
    return f"occurred <= {at} AND arrived <= {at}"


def condition(source: Source) -> str:
    """Return the condition that a fact is of a source."""
    parts = [f"kind IN ({', '.join(str(int(kind)) for kind in source.kinds)})"]
    if source.channels:
        parts.append(f"channel IN ({', '.join(map(str, source.channels))})")
    if source.at_least is not None:
        parts.append(f"value >= {source.at_least}")
    if source.at_most is not None:
        parts.append(f"value <= {source.at_most}")
    return " AND ".join(parts)


class Snapshot:
    """The SQL of one set of features at one instant.

    Args:
        features: What to compute.
        at: When; nothing later is read.
    """

    def __init__(self, features: FeatureSet, at: int) -> None:
        self._features = features
        self._at = at
        self._sources = {source: index for index, source in enumerate(features.sources)}
        self._names = {measure: f"m{index}" for index, measure in enumerate(features.measures)}

    def queries(self) -> Iterator[Query]:
        """Yield what the snapshot is made of, in an order in which each uses only those before it."""
        anchors = {each.window.after for each in self._features.measures if each.window.after is not None}
        for anchor in sorted(anchors, key=self._sources.__getitem__):
            text = f"SELECT profile, max(occurred) AS last FROM {self._facts(anchor)} GROUP BY profile"
            yield Query(f"last{self._sources[anchor]}", text, joined=False)
        for source, index in self._sources.items():
            measures = [each for each in self._features.measures if each.source == source]
            if simple := [each for each in measures if each.aggregate not in BY_DAY]:
                yield Query(f"sums{index}", self._sums(source, simple), joined=True)
            daily = [each for each in measures if each.aggregate in BY_DAY]
            if daily or source == ORDERS:
                yield Query(f"days{index}", self._days(source), joined=False)
                yield Query(f"gaps{index}", self._gaps(index, daily, source == ORDERS), joined=True)

    def columns(self) -> Iterator[str]:
        """Yield the expression of each feature."""
        return (f"coalesce({self._expression(each.term)}, 'NaN'::DOUBLE)" for each in self._features)

    def summary(self) -> dict[str, str]:
        """Return the expressions of what a model of buying rhythm needs; NaN for one who has bought nothing."""
        mean = "CASE WHEN frequency > 0 THEN (repeated::BIGINT)::DOUBLE / frequency::DOUBLE ELSE 0::DOUBLE END"
        expressions = {
            "frequency": "frequency::DOUBLE",
            "recency": "recency::DOUBLE",
            "tenure": f"({self._at // DAY} - first_day)::DOUBLE",
            "mean_value": f"CASE WHEN frequency IS NOT NULL THEN {mean} END",
        }
        return {name: f"coalesce({expression}, 'NaN'::DOUBLE)" for name, expression in expressions.items()}

    def _facts(self, source: Source) -> str:
        return f"(FROM facts WHERE {condition(source)} AND {known(self._at)})"

    def _sums(self, source: Source, measures: list[Measure]) -> str:
        columns = ", ".join(f"{self._whole(each)} AS {self._names[each]}" for each in measures)
        anchors = sorted({self._sources[each.window.after] for each in measures if each.window.after is not None})
        joins = " ".join(f"LEFT JOIN last{anchor} USING (profile)" for anchor in anchors)
        return f"SELECT profile, {columns} FROM {self._facts(source)} AS chosen {joins} GROUP BY profile"

    def _whole(self, measure: Measure) -> str:
        match measure.aggregate:
            case Aggregate.AGE:
                return f"{self._at} - max(occurred)"
            case Aggregate.TENURE:
                return f"{self._at} - min(occurred)"
            case Aggregate.CHANNEL:
                return f"max(occurred * {_CHANNELS} + channel) % {_CHANNELS}"
            case aggregate:
                return f"({_SUMS[aggregate]} {self._within(measure.window, 'occurred')})::BIGINT"

    def _days(self, source: Source) -> str:
        return (
            "SELECT profile, day, latest, value, day - lag(day) OVER (PARTITION BY profile ORDER BY day) AS gap FROM ("
            f"SELECT profile, occurred // {DAY} AS day, max(occurred) AS latest, sum(value) AS value"
            f" FROM {self._facts(source)} GROUP BY profile, day)"
        )

    def _gaps(self, index: int, measures: list[Measure], summarised: bool) -> str:
        columns = [f"({self._daily(each)})::BIGINT AS {self._names[each]}" for each in measures]
        if summarised:
            columns += [
                "count(*) - 1 AS frequency", "max(day) - min(day) AS recency", "min(day) AS first_day",
                "sum(value) - arg_min(value, day) AS repeated",
            ]  # fmt: skip
        return f"SELECT profile, {', '.join(columns)} FROM days{index} GROUP BY profile"

    def _daily(self, measure: Measure) -> str:
        return _DAILY.get(measure.aggregate) or f"count(*) {self._within(measure.window, 'latest')}"

    def _within(self, window: Window, time: str) -> str:
        if window.after is not None:
            return f"FILTER ({time} > coalesce(last{self._sources[window.after]}.last, -1))"
        end = self._at - window.skip * DAY
        bounds = [f"{time} <= {end}"] if window.skip else []
        if window.days is not None:
            bounds.append(f"{time} > {end - window.days * DAY}")
        return f"FILTER ({' AND '.join(bounds)})" if bounds else ""

    def _expression(self, term: Term) -> str:
        match term:
            case Measure(_, aggregate):
                name = self._names[term]
                if aggregate in WINDOWED:
                    return f"coalesce({name}, 0)::DOUBLE"
                return f"({name}::DOUBLE / {term.unit}::DOUBLE)" if term.unit else f"{name}::DOUBLE"
            case Month():
                return f"{datetime.fromtimestamp(self._at // SECOND, UTC).month}::DOUBLE"
            case Ratio(top, bottom, plus):
                above, below = (f"({self._expression(each)} + {plus}::DOUBLE)" for each in (top, bottom))
                return f"CASE WHEN {below} > 0 THEN {above} / {below} END"
            case Excess(inner, above):
                difference = f"({self._expression(inner)} - {self._expression(above)})"
                return f"CASE WHEN {difference} < 0 THEN 0::DOUBLE ELSE {difference} END"
            case Variation():
                gaps, span, squares = (self._expression(part) for part in term.parts)
                excess = f"(({gaps} * {squares}) / ({span} * {span}) - 1::DOUBLE)"
                return f"CASE WHEN {gaps} > 0 THEN sqrt(CASE WHEN {excess} < 0 THEN 0::DOUBLE ELSE {excess} END) END"
