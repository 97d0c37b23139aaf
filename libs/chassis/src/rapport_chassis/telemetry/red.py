"""Rate, errors and duration of every RPC and of every consumer."""

from rapport_chassis.telemetry.conventions import (
    CONSUMED_MESSAGES,
    PROCESS_DURATION,
    PUBLISH_DURATION,
    RPC_CLIENT_DURATION,
    RPC_SERVER_DURATION,
    SENT_MESSAGES,
)
from rapport_chassis.telemetry.metrics import Meter
from rapport_chassis.telemetry.names import HistogramName


class RpcRed:
    """RED of one method on one side; kept by whoever wraps the method."""

    __slots__ = ("_calls", "_method", "_ok")

    def __init__(self, meter: Meter, name: HistogramName, method: str) -> None:
        self._calls = meter.histogram(name)
        self._method = method
        self._ok = self._calls.of(method, "OK", "")

    def done(self, seconds: float, status: str = "OK", reason: str = "") -> None:
        """Count a finished call.

        Args:
            seconds: how long it took.
            status: name of the gRPC status code.
            reason: stable reason of a failure.
        """
        series = self._ok if status == "OK" else self._calls.of(self._method, status, reason)
        series.record(seconds)


class ConsumerRed:
    """RED of one consumer; kept by the consumer."""

    __slots__ = ("_consumed", "_consumer", "_durations")

    def __init__(self, meter: Meter, consumer: str) -> None:
        self._consumer = consumer
        self._durations = meter.histogram(PROCESS_DURATION)
        self._consumed = meter.counter(CONSUMED_MESSAGES)

    def delivered(self, destination: str, count: int = 1) -> None:
        """Count deliveries, repeated ones too."""
        self._consumed.of(self._consumer, destination).add(count)

    def done(self, destination: str, seconds: float, reason: str = "") -> None:
        """Count a handled event; `reason` says why the handling failed."""
        self._durations.of(self._consumer, destination, reason).record(seconds)


class PublishRed:
    """RED of what one relay publishes."""

    __slots__ = ("_durations", "_sent")

    def __init__(self, meter: Meter) -> None:
        self._durations = meter.histogram(PUBLISH_DURATION)
        self._sent = meter.counter(SENT_MESSAGES)

    def done(self, destination: str, seconds: float, reason: str = "", *, count: int = 1) -> None:
        """Count a batch of events the broker confirmed, or refused for `reason`."""
        self._durations.of(destination, reason).record(seconds)
        self._sent.of(destination, reason).add(count)


class RedMetrics:
    """Where the chassis takes its RED recorders from."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def server(self, method: str) -> RpcRed:
        """Recorder of a method that is served here."""
        return RpcRed(self._meter, RPC_SERVER_DURATION, method)

    def client(self, method: str) -> RpcRed:
        """Recorder of a method that is called from here."""
        return RpcRed(self._meter, RPC_CLIENT_DURATION, method)

    def consumer(self, name: str) -> ConsumerRed:
        """Recorder of a consumer."""
        return ConsumerRed(self._meter, name)

    def publisher(self) -> PublishRed:
        """Recorder of a relay."""
        return PublishRed(self._meter)
