"""Instruments that add up in process: a recording is one addition (0.2 us; the SDK's instruments take 16).

Written from the event loop. Exporters read whole numbers from their own thread without a lock, so a snapshot may see
a histogram's newest count without its sum; the next one has both.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from rapport_chassis.telemetry.names import AttributeValue, CounterName, GaugeName, HistogramName

SERIES_LIMIT = 2000
"""Most attribute combinations kept per instrument; the rest are added up in one series without attributes."""

OVERFLOW: dict[str, AttributeValue] = {"otel.metric.overflow": True}


class CounterSeries:
    """One counter with its attributes fixed."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def add(self, amount: float = 1) -> None:
        """Count `amount` more; never negative."""
        self.value += amount


class GaugeSeries:
    """One gauge with its attributes fixed."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float | None = None

    def set(self, value: float) -> None:
        """Replace the value."""
        self.value = value


class HistogramSeries:
    """One distribution with its attributes fixed."""

    __slots__ = ("bounds", "counts", "maximum", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.maximum = 0.0

    def record(self, value: float) -> None:
        """Add one measurement, in the declared unit."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
        if value > self.maximum:
            self.maximum = value

    def quantile(self, share: float) -> float | None:
        """The bucket end that `share` (0 to 1) of the measurements do not exceed; None without measurements."""
        wanted = share * sum(self.counts)
        reached = 0
        for bound, count in zip((*self.bounds, self.maximum), self.counts, strict=True):
            reached += count
            if count and reached >= wanted:
                return min(bound, self.maximum)
        return None


Series: TypeAlias = CounterSeries | GaugeSeries | HistogramSeries
InstrumentName: TypeAlias = CounterName | GaugeName | HistogramName
_SeriesT = TypeVar("_SeriesT", bound=Series)


class Instrument(Generic[_SeriesT]):
    """All series of one declared name. Keep what `of` returns where it is used often."""

    __slots__ = ("_make", "_series", "name")

    def __init__(self, name: InstrumentName, make: Callable[[], _SeriesT]) -> None:
        self.name = name
        self._make = make
        self._series: dict[tuple[AttributeValue, ...], _SeriesT] = {}

    def of(self, *values: AttributeValue) -> _SeriesT:
        """The series with these attribute values, in the declared order.

        Raises:
            ValueError: more or fewer values than the name declares attributes.
        """
        series = self._series.get(values)
        if series is None:
            if len(values) != len(self.name.attributes):
                raise ValueError(f"{self.name.name} declares {len(self.name.attributes)} attributes")
            key = values if len(self._series) < SERIES_LIMIT else ()
            series = self._series.setdefault(key, self._make())
        return series

    def __iter__(self) -> Iterator[tuple[dict[str, AttributeValue], _SeriesT]]:
        """The series with their attributes, as they are now; safe while others are added."""
        for values, series in list(self._series.items()):
            attributes: dict[str, AttributeValue] = dict(zip(self.name.attributes, values, strict=False))
            yield attributes if len(values) == len(self.name.attributes) else dict(OVERFLOW), series


Counter: TypeAlias = Instrument[CounterSeries]
Gauge: TypeAlias = Instrument[GaugeSeries]
Histogram: TypeAlias = Instrument[HistogramSeries]


@dataclass(frozen=True, slots=True)
class Sample:
    """One series at one instant, as exporters and tests read it."""

    name: InstrumentName
    attributes: dict[str, AttributeValue]
    series: Series


class Meter:
    """The instruments of one process, one per declared name."""

    def __init__(self) -> None:
        self._instruments: dict[str, Counter | Gauge | Histogram] = {}

    def counter(self, name: CounterName) -> Counter:
        """The counter of this name.

        Raises:
            ValueError: another declaration took the name (all three instrument kinds).
        """
        found = self._instruments.setdefault(name.name, Instrument(name, CounterSeries))
        return self._same(found, name)  # type: ignore[return-value] # the declaration fixes the kind

    def gauge(self, name: GaugeName) -> Gauge:
        """The gauge of this name."""
        found = self._instruments.setdefault(name.name, Instrument(name, GaugeSeries))
        return self._same(found, name)  # type: ignore[return-value] # the declaration fixes the kind

    def histogram(self, name: HistogramName) -> Histogram:
        """The histogram of this name."""
        made: Histogram = Instrument(name, lambda: HistogramSeries(name.bounds))
        return self._same(self._instruments.setdefault(name.name, made), name)  # type: ignore[return-value] # as above

    def samples(self) -> Iterator[Sample]:
        """Every series that has a value."""
        for instrument in list(self._instruments.values()):
            for attributes, series in instrument:
                if not isinstance(series, GaugeSeries) or series.value is not None:
                    yield Sample(instrument.name, attributes, series)

    @staticmethod
    def _same(found: Counter | Gauge | Histogram, name: InstrumentName) -> Counter | Gauge | Histogram:
        if found.name != name:
            raise ValueError(f"two declarations share the name {name.name}")
        return found
