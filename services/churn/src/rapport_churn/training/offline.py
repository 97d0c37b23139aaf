"""Features and labels of everyone at many cutoffs, from the log: the vectorised twin of a profile's state.

It follows the same declarations and shares no other code with the state, so that a test in which both agree bit for bit
says something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import inf, nan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.facts import DAY, SECOND
from rapport_churn.domain.features import FeatureSet
from rapport_churn.domain.labels import Horizon, PopulationRule
from rapport_churn.domain.terms import WINDOWED, Excess, Measure, Month, Ratio, Term, Variation
from rapport_churn.training.compiled import measure_queries, outcome_query, population_query, summary_query
from rapport_churn.training.frame import Column, Floats, Frame, Integers
from rapport_churn.training.log import EventLog

OPEN: Final = -1
"""The spend in a window that is not closed yet."""

_ROWS_AT_ONCE: Final = 100_000
_MODULUS: Final = 1_000_003

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
        progress: Is told the share done after each part of the rows.
    """
    people = [np.sort(_ask(log, population_query(cutoff, population))["profile"]) for cutoff in cutoffs]
    share = 1.0 if most_rows is None else min(most_rows / max(sum(map(len, people)), 1), 1.0)
    if share < 1.0:
        people = [each[_drawn(each, cutoff, share)] for each, cutoff in zip(people, cutoffs, strict=True)]
    frame = _empty(features, sum(map(len, people)))
    frame.profiles[:] = np.concatenate([*people, np.empty(0, np.int64)])
    frame.cutoffs[:] = np.repeat(np.array(cutoffs, np.int64), [len(each) for each in people])
    for part in _parts(len(frame)):
        rows = frame.rows(part)
        log.ask_about(rows.profiles, rows.cutoffs, rows.cutoffs + read_late_days * DAY)
        _fill(rows, log, features, rows.cutoffs + read_late_days * DAY)
        _label(rows, _ask(log, outcome_query(horizon, now)), horizon, now)
        if progress:
            progress(part.stop / len(frame))
    return frame


def _drawn(people: Integers, cutoff: int, share: float) -> NDArray[np.bool_]:
    """Return whom chance draws at a cutoff: always the same people, others at each cutoff."""
    mixed = (people.astype(np.int64) * 73_856_093 + cutoff // DAY * 19_349_663 % _MODULUS) % _MODULUS
    return mixed * 611_953 % _MODULUS < int(share * _MODULUS)


def _parts(rows: int) -> Iterator[slice]:
    """Cut rows into parts for each of which all measures are held at once."""
    for start in range(0, rows, _ROWS_AT_ONCE):
        yield slice(start, min(start + _ROWS_AT_ONCE, rows))


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


def _fill(part: Frame, log: EventLog, features: FeatureSet, at: Integers) -> None:
    """Compute features and summary of some rows."""
    measures: dict[Measure, Floats] = {}
    for query in measure_queries(features):
        answer = _ask(log, query.text)
        for index, measure in enumerate(query.measures):
            column = np.full(len(part), 0.0 if measure.aggregate in WINDOWED else nan)
            column[answer["place"]] = _floats(answer[f"m{index}"])
            measures[measure] = column / float(measure.unit) if measure.unit else column
    month = _months(at)
    with np.errstate(divide="ignore", invalid="ignore"):
        for index, feature in enumerate(features):
            part.values[:, index] = _term(feature.term, measures, month)
    bought = _ask(log, summary_query())
    for column in (part.frequency, part.recency, part.tenure, part.mean_value):
        column[:] = nan
    places, frequency = bought["place"], _floats(bought["frequency"])
    part.frequency[places] = frequency
    part.recency[places] = _floats(bought["recency"])
    part.tenure[places] = _floats(bought["tenure"])
    part.mean_value[places] = _floats(bought["repeated"]) / np.maximum(frequency, 1.0)


def _months(at: Integers) -> Floats:
    instants, place = np.unique(at, return_inverse=True)
    return np.array([float(datetime.fromtimestamp(each // SECOND, UTC).month) for each in instants.tolist()])[place]


def _label(part: Frame, outcome: Answer, horizon: Horizon, now: int) -> None:
    places, following = outcome["place"], outcome["next"]
    part.next_days[:] = inf
    part.next_days[places] = np.where(following <= horizon.days * DAY, following / float(DAY), inf)
    part.churned[:] = part.next_days == inf
    part.spend[:] = 0
    part.spend[places] = outcome["spend"]
    for cutoff in np.unique(part.cutoffs).tolist():
        if not horizon.value_is_closed(cutoff, now):
            part.spend[part.cutoffs == cutoff] = OPEN


def _term(term: Term, measures: Mapping[Measure, Floats], month: Floats) -> Floats:
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


def _floats(column: NDArray[Any]) -> Floats:
    floats = column.astype(np.float64)
    return floats.filled(nan) if isinstance(floats, np.ma.MaskedArray) else floats
