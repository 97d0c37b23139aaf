"""Declared measures as SQL: for each source of facts a query or two that answer for everyone at an instant.

Text of queries is made of declared numbers alone.
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
_MODULUS: Final = 1_000_003


class Query(NamedTuple):
    """A query: a row per person with a column `profile`, and `m0`, `m1` ... of its measures; NULL is an absent one."""

    text: str
    measures: tuple[Measure, ...]


def drawn(cutoff: int, share: float) -> str:
    """Return the condition that chance draws a person at a cutoff: always the same ones, others at each cutoff."""
    if share >= 1.0:
        return "TRUE"
    mixed = f"(profile::BIGINT * 73856093 + {cutoff // DAY * 19_349_663 % _MODULUS}) % {_MODULUS}"
    return f"{mixed} * 611953 % {_MODULUS} < {int(share * _MODULUS)}"


def population_query(cutoff: int, population: PopulationRule | None, who: str) -> str:
    """Select those who belong to the population at a cutoff; without a rule everyone of whom something is known."""
    if population is None:
        return f"SELECT DISTINCT profile FROM facts WHERE {_known(cutoff)} AND {who}"
    return (
        f"SELECT profile FROM {_facts(ORDERS, cutoff, who)} GROUP BY profile"
        f" HAVING {cutoff // DAY} - max(occurred // {DAY}) <= {population.active_days}"
        f" AND count(DISTINCT occurred // {DAY}) >= {population.order_days}"
    )


def summary_query(at: int, who: str) -> str:
    """Select how everyone has bought up to an instant: see `Summary`."""
    return (
        "SELECT profile, count(*) - 1 AS frequency, max(day) - min(day) AS recency,"
        f" {at // DAY} - min(day) AS tenure, (sum(value) - arg_min(value, day))::BIGINT AS repeated"
        f" FROM ({_days(_facts(ORDERS, at, who), gaps=False)}) GROUP BY profile"
    )


def outcome_query(cutoff: int, horizon: Horizon, now: int, who: str) -> str:
    """Select when everyone bought next after a cutoff, and what they spent then, as it is known now."""
    value_end = cutoff + horizon.value_days * DAY
    return (
        "SELECT profile, min(occurred) AS next,"
        f" coalesce(sum(value) FILTER (occurred <= {value_end}), 0)::BIGINT AS spend"
        f" FROM {_facts(ORDERS, now, who)} WHERE occurred > {cutoff} GROUP BY profile"
    )


def measure_queries(features: FeatureSet, at: int, who: str) -> Iterator[Query]:
    """Yield the queries that answer every measure of some features, by what was known at an instant.

    Args:
        features: What is asked for.
        at: The instant.
        who: Condition that a person is asked about.
    """
    for source in features.sources:
        measures = [each for each in features.measures if each.source == source]
        if sums := [each for each in measures if each.aggregate not in _BY_DAY]:
            yield _sums(source, sums, at, who)
        if daily := [each for each in measures if each.aggregate in _BY_DAY]:
            yield _daily(source, daily, at, who)


def _sums(source: Source, measures: list[Measure], at: int, who: str) -> Query:
    afters = dict.fromkeys(each.window.after for each in measures if each.window.after is not None)
    anchors = {anchor: f"last{index}" for index, anchor in enumerate(afters)}
    columns = ", ".join(f"{_whole(each, at, anchors)} AS m{index}" for index, each in enumerate(measures))
    joins = "".join(
        f" LEFT JOIN (SELECT profile, max(occurred) AS {name} FROM {_facts(anchor, at, who)} GROUP BY profile)"
        " USING (profile)"
        for anchor, name in anchors.items()
    )
    facts = _facts(source, at, who, _reach(measures))
    return Query(f"SELECT profile, {columns} FROM {facts}{joins} GROUP BY profile", tuple(measures))


def _whole(measure: Measure, at: int, anchors: Mapping[Source, str]) -> str:
    match measure.aggregate:
        case Aggregate.AGE:
            return f"{at} - max(occurred)"
        case Aggregate.TENURE:
            return f"{at} - min(occurred)"
        case Aggregate.CHANNEL:
            return f"max(occurred * {_CHANNELS} + channel) % {_CHANNELS}"
        case aggregate:
            window = measure.window
            if window.after is not None:
                within = f"FILTER (occurred > coalesce({anchors[window.after]}, -1))"
            else:
                within = _within(window, "occurred", at)
            return f"coalesce({_SUMS[aggregate]} {within}, 0)::BIGINT"


def _daily(source: Source, measures: list[Measure], at: int, who: str) -> Query:
    columns = ", ".join(
        f"({_DAILY.get(each.aggregate) or 'count(*) ' + _within(each.window, 'latest', at)})::BIGINT AS m{index}"
        for index, each in enumerate(measures)
    )
    days = _days(_facts(source, at, who, _reach(measures)), gaps=any(each.aggregate in _BY_GAP for each in measures))
    return Query(f"SELECT profile, {columns} FROM ({days}) GROUP BY profile", tuple(measures))


def _days(facts: str, *, gaps: bool) -> str:
    days = (
        f"SELECT profile, occurred // {DAY} AS day, max(occurred) AS latest, sum(value) AS value"
        f" FROM {facts} GROUP BY profile, day"
    )
    return f"SELECT *, day - lag(day) OVER (PARTITION BY profile ORDER BY day) AS gap FROM ({days})" if gaps else days


def _within(window: Window, time: str, at: int) -> str:
    bounds = [f"{time} <= {at - window.skip * DAY}"] if window.skip else []
    if window.days is not None:
        bounds.append(f"{time} > {at - (window.skip + window.days) * DAY}")
    return f"FILTER ({' AND '.join(bounds)})" if bounds else ""


def _reach(measures: list[Measure]) -> int | None:
    """Return how many days back measures look; None for all time."""
    windows = [each.window for each in measures]
    if any(window == EVER or window.days is None for window in windows):
        return None
    return max(window.skip + (window.days or 0) for window in windows)


def _facts(source: Source, at: int, who: str, reach: int | None = None) -> str:
    parts = [f"kind IN ({', '.join(str(int(kind)) for kind in source.kinds)})", _known(at)]
    if reach is not None:
        parts.append(f"occurred > {at - reach * DAY}")
    if source.channels:
        parts.append(f"channel IN ({', '.join(map(str, source.channels))})")
    if source.at_least is not None:
        parts.append(f"value >= {source.at_least}")
    if source.at_most is not None:
        parts.append(f"value <= {source.at_most}")
    return f"(FROM facts WHERE {' AND '.join([*parts, who])})"


def _known(at: int) -> str:
    return f"occurred <= {at} AND arrived <= {at}"
