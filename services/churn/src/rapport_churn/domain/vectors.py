"""Features of a profile at an instant, computed from tracks by a plan that is made once for a set of features."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import nan, sqrt
from operator import itemgetter
from typing import Final, NamedTuple

from rapport_churn.domain.facts import DAY, SECOND
from rapport_churn.domain.features import ORDERS, FeatureSet, Summary
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
from rapport_churn.domain.tracks import Track

Numbers = list[float]
Formula = Callable[[Numbers], float]
NOWHERE: Final = -1
ORDERS_TRACK: Final = 0
_DAYS: Final = float(DAY)


class _Reading(NamedTuple):
    """What to read from a track for one window, and where in the list of measures to put it."""

    length: int
    skip: int
    anchor: int
    counted: int
    valued: int
    quantified: int
    dated: int


class Plan:
    """How to keep tracks and to read vectors from them, for one set of features."""

    def __init__(self, features: FeatureSet) -> None:
        self.features = features
        self._sources = features.sources
        assert self._sources[ORDERS_TRACK] == ORDERS
        self._slots: dict[Measure | Month, int] = {each: slot for slot, each in enumerate(features.measures)}
        self._slots[Month()] = len(self._slots)
        self._blank = [0.0 if each.aggregate in WINDOWED else nan for each in features.measures] + [nan]
        self._windows = [self._readings(source) for source in self._sources]
        self._others = [
            [(_READERS[each.aggregate], slot) for each, slot in self._of(source) if each.aggregate not in WINDOWED]
            for source in self._sources
        ]
        self._formulas = [self._formula(each.term) for each in features]
        summary = frozenset({Aggregate.DAYS, Aggregate.VALUE})
        self._asked = [
            frozenset(each.aggregate for each, _ in self._of(source)) | (summary if source == ORDERS else frozenset())
            for source in self._sources
        ]
        self._routes: dict[tuple[int, int], tuple[tuple[int, Source], ...]] = {}

    def track(self, index: int) -> Track:
        """Return an empty track of the source of that number."""
        return Track(self._asked[index])

    def routes(self, kind: int, channel: int) -> tuple[tuple[int, Source], ...]:
        """Return the sources that facts of a kind and channel may belong to; their values decide."""
        found = self._routes.get((kind, channel))
        if found is None:
            found = tuple(
                (index, source)
                for index, source in enumerate(self._sources)
                if kind in source.kinds and (not source.channels or channel in source.channels)
            )
            self._routes[kind, channel] = found
        return found

    def vector(self, tracks: Mapping[int, Track], at: int) -> Numbers:
        """Return the features at an instant, in the order they are declared; NaN is unknown."""
        numbers = self._blank[:]
        numbers[-1] = float(datetime.fromtimestamp(at // SECOND, UTC).month)
        ends = {index: bisect_right(track.times, at) for index, track in tracks.items()}
        for index, track in tracks.items():
            if end := ends[index]:
                self._read_windows(numbers, index, track, at, end, tracks, ends)
                for read, slot in self._others[index]:
                    numbers[slot] = read(track, at, end)
        return [formula(numbers) for formula in self._formulas]

    def _read_windows(
        self, numbers: Numbers, index: int, track: Track, at: int, end: int,
        tracks: Mapping[int, Track], ends: Mapping[int, int],
    ) -> None:  # fmt: skip
        times = track.times
        first, last = times[0], times[end - 1]
        for length, skip, anchor, counted, valued, quantified, dated in self._windows[index]:
            stop = bisect_right(times, at - skip, 0, end) if skip else end
            if anchor >= 0:
                bound = tracks[anchor].times[ends[anchor] - 1] if ends.get(anchor) else NOWHERE
            else:
                bound = at - skip - length if length else NOWHERE
            if bound >= last:
                continue
            start = bisect_right(times, bound, 0, stop) if bound >= first else 0
            if start == stop:
                continue
            if counted >= 0:
                numbers[counted] = float(stop - start)
            if valued >= 0 and (values := track.values) is not None:
                numbers[valued] = float(values[stop] - values[start])
            if quantified >= 0 and (quantities := track.quantities) is not None:
                numbers[quantified] = float(quantities[stop] - quantities[start])
            if dated >= 0:
                numbers[dated] = float(track.different_days(start, stop))

    def _of(self, source: Source) -> list[tuple[Measure, int]]:
        return [(each, self._slots[each]) for each in self.features.measures if each.source == source]

    def _readings(self, source: Source) -> list[_Reading]:
        slots: dict[Window, dict[Aggregate, int]] = {}
        for each, slot in self._of(source):
            if each.aggregate in WINDOWED:
                slots.setdefault(each.window, {})[each.aggregate] = slot
        return [
            _Reading(
                length=(window.days or 0) * DAY,
                skip=window.skip * DAY,
                anchor=NOWHERE if window.after is None else self._sources.index(window.after),
                counted=found.get(Aggregate.COUNT, NOWHERE),
                valued=found.get(Aggregate.VALUE, NOWHERE),
                quantified=found.get(Aggregate.QUANTITY, NOWHERE),
                dated=found.get(Aggregate.DAYS, NOWHERE),
            )
            for window, found in slots.items()
        ]

    def _formula(self, term: Term) -> Formula:
        match term:
            case Measure() | Month():
                return itemgetter(self._slots[term])
            case Ratio(top, bottom, plus):
                return _ratio(self._formula(top), self._formula(bottom), float(plus))
            case Excess(inner, above):
                return _excess(self._formula(inner), self._formula(above))
            case Variation():
                gaps, span, squares = (self._slots[part] for part in term.parts)
                return _variation(gaps, span, squares)


def summary_of(orders: Track | None, at: int) -> Summary | None:
    """Summarise what was bought up to an instant; None if nothing was."""
    if orders is None or not (end := bisect_right(orders.times, at)):
        return None
    assert orders.values is not None
    first = orders.times[0] // DAY
    frequency = orders.different_days(0, end) - 1
    repeated = orders.values[end] - orders.values[orders.first_day(end)]
    return Summary(
        frequency=frequency,
        recency_days=orders.times[end - 1] // DAY - first,
        tenure_days=at // DAY - first,
        mean_value=float(repeated) / float(frequency) if frequency else 0.0,
    )


def _squares(track: Track, at: int, end: int) -> float:
    assert track.squares is not None
    return float(track.squares[end])


def _last_gap(track: Track, at: int, end: int) -> float:
    gap = track.last_gap(end)
    return nan if gap is None else float(gap)


def _channel(track: Track, at: int, end: int) -> float:
    assert track.channels is not None
    return float(track.channels[end - 1])


# What goes over the first `end` facts of a track, of which there is at least one.
_READERS: Final[Mapping[Aggregate, Callable[[Track, int, int], float]]] = {
    Aggregate.AGE: lambda track, at, end: float(at - track.times[end - 1]) / _DAYS,
    Aggregate.TENURE: lambda track, at, end: float(at - track.times[0]) / _DAYS,
    Aggregate.GAPS: lambda track, at, end: float(track.different_days(0, end) - 1),
    Aggregate.SPAN: lambda track, at, end: float(track.times[end - 1] // DAY - track.times[0] // DAY),
    Aggregate.SQUARES: _squares,
    Aggregate.LAST_GAP: _last_gap,
    Aggregate.CHANNEL: _channel,
}


def _ratio(top: Formula, bottom: Formula, plus: float) -> Formula:
    def ratio(numbers: Numbers) -> float:
        below = bottom(numbers) + plus
        return (top(numbers) + plus) / below if below > 0.0 else nan

    return ratio


def _excess(inner: Formula, above: Formula) -> Formula:
    def excess(numbers: Numbers) -> float:
        difference = inner(numbers) - above(numbers)
        return 0.0 if difference < 0.0 else difference

    return excess


def _variation(gaps: int, span: int, squares: int) -> Formula:
    def variation(numbers: Numbers) -> float:
        if not numbers[gaps] > 0.0:
            return nan
        excess = (numbers[gaps] * numbers[squares]) / (numbers[span] * numbers[span]) - 1.0
        return sqrt(0.0 if excess < 0.0 else excess)

    return variation
