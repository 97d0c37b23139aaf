"""Features and labels of everyone at many cutoffs, from the log: the vectorised twin of a profile's state.

It follows the same declarations and shares no other code with the state, so that a test in which both agree bit for bit
says something.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from math import inf, nan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.facts import DAY, SECOND
from rapport_churn.domain.features import FeatureSet
from rapport_churn.domain.labels import Horizon, PopulationRule
from rapport_churn.domain.terms import WINDOWED, Excess, Measure, Month, Ratio, Term, Variation
from rapport_churn.training.compiled import drawn, measure_queries, outcome_query, population_query, summary_query
from rapport_churn.training.frame import Column, Floats, Frame, Integers
from rapport_churn.training.log import EventLog

OPEN: Final = -1
"""The spend in a window that is not closed yet."""

Progress = Callable[[float], None]
Answer = Mapping[str, NDArray[Any]]


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
        cutoffs: When; rows come in this order.
        horizon: How far labels look ahead.
        now: Only what has arrived by now tells what happened. Of a window that is not closed by now the spend is
            `OPEN`; whether a cutoff may train is the caller's to ask (`Horizon.is_closed`).
        population: Of whom; None for everyone of whom something is known.
        most_rows: If there are more rows, about so many are drawn, always the same ones.
        read_late_days: Reads features so much later than the cutoff, which is wrong: the control of leak tests.
        progress: Is told the share done after each cutoff.
    """
    share = 1.0 if most_rows is None else min(most_rows / max(_count(log, cutoffs, population), 1), 1.0)
    asked = [(cutoff, drawn(cutoff, share)) for cutoff in cutoffs]
    people = [np.sort(_ask(log, population_query(cutoff, population, who))["profile"]) for cutoff, who in asked]
    frame = _empty(features, sum(map(len, people)))
    start = 0
    for number, ((cutoff, who), rows) in enumerate(zip(asked, people, strict=True)):
        part = frame.rows(slice(start, start + len(rows)))
        part.profiles[:] = rows
        part.cutoffs[:] = cutoff
        _fill(part, log, features, cutoff + read_late_days * DAY, who)
        _label(part, _ask(log, outcome_query(cutoff, horizon, now, who)), cutoff, horizon, now)
        start += len(rows)
        if progress:
            progress((number + 1) / len(cutoffs))
    return frame


def _empty(features: FeatureSet, rows: int) -> Frame:
    return Frame(
        columns=tuple(Column(each.name, each.group.value, each.categorical) for each in features),
        values=np.empty((rows, len(features))),
        profiles=np.empty(rows, np.int64),
        cutoffs=np.empty(rows, np.int64),
        churned=np.empty(rows, np.int8),
        next_days=np.empty(rows),
        spend=np.empty(rows, np.int64),
        frequency=np.empty(rows),
        recency=np.empty(rows),
        tenure=np.empty(rows),
        mean_value=np.empty(rows),
    )


def _count(log: EventLog, cutoffs: Sequence[int], population: PopulationRule | None) -> int:
    everyone = (population_query(cutoff, population, drawn(cutoff, 1.0)) for cutoff in cutoffs)
    return sum(len(_ask(log, query)["profile"]) for query in everyone)


def _fill(part: Frame, log: EventLog, features: FeatureSet, at: int, who: str) -> None:
    """Compute features and summary of the people of one cutoff."""
    measures: dict[Measure, Floats] = {}
    for query in measure_queries(features, at, who):
        answer = _ask(log, query.text)
        places, chosen = _places(part.profiles, answer)
        for index, measure in enumerate(query.measures):
            column = np.full(len(part), 0.0 if measure.aggregate in WINDOWED else nan)
            column[places] = _floats(answer[f"m{index}"])[chosen]
            measures[measure] = column / float(measure.unit) if measure.unit else column
    month = float(datetime.fromtimestamp(at // SECOND, UTC).month)
    with np.errstate(divide="ignore", invalid="ignore"):
        for index, feature in enumerate(features):
            part.values[:, index] = _term(feature.term, measures, month)
    bought = _ask(log, summary_query(at, who))
    places, chosen = _places(part.profiles, bought)
    for column in (part.frequency, part.recency, part.tenure, part.mean_value):
        column[:] = nan
    frequency = _floats(bought["frequency"])[chosen]
    part.frequency[places] = frequency
    part.recency[places] = _floats(bought["recency"])[chosen]
    part.tenure[places] = _floats(bought["tenure"])[chosen]
    part.mean_value[places] = _floats(bought["repeated"])[chosen] / np.maximum(frequency, 1.0)


def _label(part: Frame, outcome: Answer, cutoff: int, horizon: Horizon, now: int) -> None:
    places, chosen = _places(part.profiles, outcome)
    following = outcome["next"][chosen] - cutoff
    part.next_days[:] = inf
    part.next_days[places] = np.where(following <= horizon.days * DAY, following / float(DAY), inf)
    part.churned[:] = part.next_days == inf
    part.spend[:] = 0
    part.spend[places] = outcome["spend"][chosen]
    if not horizon.value_is_closed(cutoff, now):
        part.spend[:] = OPEN


def _term(term: Term, measures: Mapping[Measure, Floats], month: float) -> Floats | float:
    match term:
        case Measure():
            return measures[term]
        case Month():
            return month
        case Ratio(top, bottom, plus):
            above, below = (_term(each, measures, month) + float(plus) for each in (top, bottom))
            return np.where(below > 0.0, above / below, nan)
        case Excess(inner, above):
            difference = _term(inner, measures, month) - _term(above, measures, month)
            return np.where(difference < 0.0, 0.0, difference)
        case Variation():
            gaps, span, squares = (measures[part] for part in term.parts)
            excess = (gaps * squares) / (span * span) - 1.0
            return np.where(gaps > 0.0, np.sqrt(np.where(excess < 0.0, 0.0, excess)), nan)


def _ask(log: EventLog, query: str) -> Answer:
    answer: Answer = log.connection.execute(query).fetchnumpy()
    return answer


def _places(people: Integers, answer: Answer) -> tuple[Integers, NDArray[np.bool_]]:
    """Return the rows of the people that are answered for, and which rows of the answer are theirs."""
    places = np.searchsorted(people, answer["profile"])
    chosen = places < len(people)
    chosen[chosen] = people[places[chosen]] == answer["profile"][chosen]
    return places[chosen], chosen


def _floats(column: NDArray[Any]) -> Floats:
    floats = column.astype(np.float64)
    return floats.filled(nan) if isinstance(floats, np.ma.MaskedArray) else floats
