"""Tells metrics, logs and health how a replica is doing."""

from __future__ import annotations

from typing import Final, Literal

from rapport_chassis.background import Background
from rapport_chassis.clock import Clock
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.telemetry.metrics import Meter

from rapport_privacy.follower import Occurrence
from rapport_privacy.gate import Gate
from rapport_privacy.replica import Replica
from rapport_privacy.telemetry import GATE_LAG, GATE_POSITION, GATE_REPORTS, GATE_STALENESS, NEVER_FRESH_S

_EVERY_S: Final = 1.0


class GateWatch(Background):
    """The component that looks at the gate once a second."""

    name = "gate-watch"
    role: Literal["all"] = "all"

    def __init__(self, gate: Gate, replica: Replica, meter: Meter, clock: Clock) -> None:
        self._gate = gate
        self._replica = replica
        self._clock = clock
        self._lag = meter.gauge(GATE_LAG).of()
        self._position = meter.gauge(GATE_POSITION).of()
        self._staleness = meter.gauge(GATE_STALENESS).of()
        self._reports = meter.counter(GATE_REPORTS)

    async def check(self) -> None:
        """Return if the replica has loaded the ledger. A stale one still answers: DENY_STALE.

        Raises:
            RapportError: NOT_READY.
        """
        if not self._replica.warm:
            raise CHASSIS_ERRORS.error("NOT_READY", "the replica has not loaded the ledger yet")

    def report(self, occurrence: Occurrence) -> None:
        """Log and count what the follower reports."""
        self._reports.of(occurrence.value).add()
        get_logger().info("gate", occurrence=occurrence.value)

    async def run(self) -> None:
        """Look."""
        while True:
            self._lag.set(self._gate.lag_positions)
            self._position.set(self._replica.position)
            self._staleness.set(min(self._gate.staleness_s, NEVER_FRESH_S))
            await self._clock.sleep(_EVERY_S)
