"""Declared measures as SQL: for each source of facts a query or two that answer for everybody at every instant at once.

What is asked about stands in the table `asked`: the `place` of a row, its `profile`, the `instant` at which its
features were known, and the `cutoff` that its labels follow. Facts are joined to the rows of their person: a log is
read once for all cutoffs, and nobody is added up who was not asked about. Text of queries is made of declared numbers
alone.
"""

# ruff: noqa: S608 - see above
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from rapport_churn.domain.facts import DAY
from rapport_churn.domain.features import ORDERS, FeatureSet
from rapport_churn.domain.labels import Horizon, PopulationRule
from rapport_churn.domain.terms import EVER, Aggregate, Measure, Source, Window

_BY_DAY: Final = frozenset({Aggregate.DAYS, Aggregate.GAPS, Aggregate.SPAN, Aggregate.SQUARES, Aggregate.LAST_GAP})
_BY_GAP: Final = frozenset({Aggregate.SQUARES, Aggregate.LAST_GAP})
_SUMS: Final = {Aggregate.COUNT: "count(*)", Aggregate.VALUE: "sum(value)", Aggregate.QUANTITY: "sum(quantity)"}
_DAILY: Final = {
    Aggregate.GAPS: "count(*) - 1",
    Aggregate.SPAN: "max(day) - min(day)",
    Aggregate.SQUARES: "coalesce(sum(gap * gap), 0)",
    Aggregate.LAST_GAP: "arg_max(gap, day)",
}
_CHANNELS: Final = 256


class Query(NamedTuple):
    """A query: its rows have a column `place`, and `m0`, `m1` ... of its measures; NULL is an absent one."""

    text: str
    measures: tuple[Measure, ...]


def population_query(cutoff: int, population: PopulationRule | None) -> str:
    """Select those who belong to the population at a cutoff; without a rule everyone of whom something is known."""
    known = f"occurred <= {cutoff} AND arrived <= {cutoff}"
    if population is None:
        return f"SELECT DISTINCT profile FROM facts WHERE {known}"
    return (
        f"SELECT profile FROM facts WHERE {_is_of(ORDERS)} AND {known} GROUP BY profile"
        f" HAVING {cutoff // DAY} - max(occurred // {DAY}) <= {population.active_days}"
        f" AND count(DISTINCT occurred // {DAY}) >= {population.order_days}"
    )


def summary_query() -> str:
    """Select how people have bought up to their instants: see `Summary`."""
    return (
        "SELECT place, count(*) - 1 AS frequency, max(day) - min(day) AS recency,"
        f" max(instant // {DAY} - day) AS tenure, (sum(value) - arg_min(value, day))::BIGINT AS repeated"
        f" FROM ({_days(_known(ORDERS), gaps=False)}) GROUP BY place"
    )


def outcome_query(horizon: Horizon, now: int) -> str:
    """Select when people bought next after their cutoffs, and what they spent then, as it is known now."""
    return (
        "SELECT place, min(occurred - cutoff) AS next,"
        f" coalesce(sum(value) FILTER (occurred - cutoff <= {horizon.value_days * DAY}), 0)::BIGINT AS spend"
        f" FROM asked JOIN facts USING (profile) WHERE {_is_of(ORDERS)}"
        f" AND occurred > cutoff AND occurred <= {now} AND arrived <= {now} GROUP BY place"
    )


def measure_queries(features: FeatureSet) -> Iterator[Query]:
    """Yield the queries that answer every measure of some features, by what was known at the instants asked about."""
    for source in features.sources:
        measures = [each for each in features.measures if each.source == source]
        if sums := [each for each in measures if each.aggregate not in _BY_DAY]:
            yield _sums(source, sums)
        if daily := [each for each in measures if each.aggregate in _BY_DAY]:
            yield _daily(source, daily)


def _sums(source: Source, measures: list[Measure]) -> Query:
    afters = dict.fromkeys(each.window.after for each in measures if each.window.after is not None)
    anchors = {anchor: f"last{index}" for index, anchor in enumerate(afters)}
    columns = ", ".join(f"{_whole(each, anchors)} AS m{index}" for index, each in enumerate(measures))
    joins = "".join(
        f" LEFT JOIN (SELECT place, max(occurred) AS {name} FROM {_known(anchor)} GROUP BY place) USING (place)"
        for anchor, name in anchors.items()
    )
    known = _known(source, _reach(measures))
    return Query(f"SELECT place, {columns} FROM {known}{joins} GROUP BY place", tuple(measures))


def _whole(measure: Measure, anchors: Mapping[Source, str]) -> str:
    match measure.aggregate:
        case Aggregate.AGE:
            return "min(age)"
        case Aggregate.TENURE:
            return "max(age)"
        case Aggregate.CHANNEL:
            return f"max(occurred * {_CHANNELS} + channel) % {_CHANNELS}"
        case aggregate:
            window = measure.window
            if window.after is not None:
                within = f"FILTER (occurred > coalesce({anchors[window.after]}, -1))"
            else:
                within = _within(window)
            return f"coalesce({_SUMS[aggregate]} {within}, 0)::BIGINT"


def _daily(source: Source, measures: list[Measure]) -> Query:
    columns = ", ".join(
        f"({_DAILY.get(each.aggregate) or 'count(*) ' + _within(each.window)})::BIGINT AS m{index}"
        for index, each in enumerate(measures)
    )
    days = _days(_known(source, _reach(measures)), gaps=any(each.aggregate in _BY_GAP for each in measures))
    return Query(f"SELECT place, {columns} FROM ({days}) GROUP BY place", tuple(measures))


def _days(known: str, *, gaps: bool) -> str:
    days = (
        f"SELECT place, occurred // {DAY} AS day, min(age) AS age, sum(value) AS value, any_value(instant) AS instant"
        f" FROM {known} GROUP BY place, day"
    )
    return f"SELECT *, day - lag(day) OVER (PARTITION BY place ORDER BY day) AS gap FROM ({days})" if gaps else days


def _within(window: Window) -> str:
    bounds = [f"age >= {window.skip * DAY}"] if window.skip else []
    if window.days is not None:
        bounds.append(f"age < {(window.skip + window.days) * DAY}")
    return f"FILTER ({' AND '.join(bounds)})" if bounds else ""


def _reach(measures: list[Measure]) -> int | None:
    """Return how many days back measures look; None for all time."""
    windows = [each.window for each in measures]
    if any(window == EVER or window.days is None for window in windows):
        return None
    return max(window.skip + (window.days or 0) for window in windows)


def _known(source: Source, reach: int | None = None) -> str:
    """Return the facts of a source, and how old they were, beside each row of their person that could know them."""
    near = f" AND instant - occurred < {reach * DAY}" if reach is not None else ""
    return (
        "(SELECT place, instant, instant - occurred AS age, occurred, channel, value, quantity"
        " FROM asked JOIN facts USING (profile)"
        f" WHERE {_is_of(source)} AND occurred <= instant AND arrived <= instant{near})"
    )


def _is_of(source: Source) -> str:
    parts = [f"kind IN ({', '.join(str(int(kind)) for kind in source.kinds)})"]
    if source.channels:
        parts.append(f"channel IN ({', '.join(map(str, source.channels))})")
    if source.at_least is not None:
        parts.append(f"value >= {source.at_least}")
    if source.at_most is not None:
        parts.append(f"value <= {source.at_most}")
    return " AND ".join(parts)
