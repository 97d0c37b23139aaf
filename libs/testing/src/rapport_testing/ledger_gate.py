"""A gate that follows a ledger in memory when a test says so, and no sooner."""

from __future__ import annotations

from rapport_chassis.clock import Clock
from rapport_privacy.freshness import CONTINUATION_S, Freshness
from rapport_privacy.gate import Gate
from rapport_privacy.replica import Replica
from rapport_privacy.snapshot import SnapshotLoad

from rapport_testing.ledger_model import LedgerModel


class LedgerGate:
    """A gate over a ledger of its own, which it knows as it was when the gate was made.

    Attributes:
        ledger: The ledger. What is written to it the gate learns by `follow`.
        replica: What the gate knows of it.
        gate: The gate.

    Args:
        ledger: The ledger.
        clock: The gate's.
        bound_s: For how many seconds the gate is fresh once it has followed.
    """

    def __init__(self, ledger: LedgerModel, clock: Clock, *, bound_s: float = 600.0) -> None:
        self.ledger, self.replica = ledger, Replica()
        self._clock = clock
        self._freshness = Freshness(bound_s=bound_s, continuation_s=max(bound_s, CONTINUATION_S))
        self.gate = Gate(self.replica, self._freshness, clock)
        snapshot = SnapshotLoad()
        for message in ledger.snapshot():
            snapshot.take(message)
        self.replica.load(snapshot)

    def follow(self) -> None:
        """Have the gate know all that is in the ledger, and be fresh."""
        for change in self.ledger.changes[self.replica.position :]:
            self.replica.apply(change)
        now = self._clock.boottime()
        self._freshness.head_read(now, self.ledger.position, self.replica.position, now)

    def go_stale(self) -> None:
        """Have it not know whether it is behind, until it follows again."""
        self._freshness.lapse()
