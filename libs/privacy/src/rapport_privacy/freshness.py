"""How fresh a replica is: asked for, not listened to."""

from typing import Final

NEVER: Final = float("-inf")

BOUND_S: Final = 2.0
CONTINUATION_S: Final = 900.0


class Freshness:
    """When the replica last knew the whole ledger, on the clock since boot.

    A head read that began at t0 and answered position p proves: whatever was committed before t0 is known here once
    every position up to p is applied. The replica is then fresh until t0 + bound. Relay stall, partition, pause and
    clock step all end in staleness, because nothing but such a proof makes it fresh again.

    Attributes:
        fresh_until: The replica is fresh before this time.
        continues_until: Contract and legal duties may go on before this time.
        confirmed_at: t0 of the newest proof; -inf if there is none.
        asked_for: Whether anybody rested a decision on it since the last head was read.
    """

    __slots__ = (
        "_bound_s",
        "_continuation_s",
        "_waiting",
        "asked_for",
        "confirmed_at",
        "continues_until",
        "fresh_until",
    )

    def __init__(self, *, bound_s: float = BOUND_S, continuation_s: float = CONTINUATION_S) -> None:
        if bound_s <= 0 or continuation_s < bound_s:
            raise ValueError("the bound must be above zero and the continuation no shorter than it")
        self._bound_s = bound_s
        self._continuation_s = continuation_s
        self._waiting: list[tuple[float, int]] = []
        self.asked_for = False
        self.fresh_until = NEVER
        self.continues_until = NEVER
        self.confirmed_at = NEVER

    def head_read(self, began_at: float, head: int, applied: int, now: float) -> None:
        """Take note of a head.

        Args:
            began_at: Clock since boot before the head was asked for.
            head: Position answered.
            applied: The replica knows every position up to here.
            now: Clock since boot.
        """
        self._waiting.append((began_at, head))
        self.asked_for = False
        self.applied(applied, now)

    def applied(self, position: int, now: float) -> None:
        """Take note that every position up to this one is applied."""
        if not self._waiting:
            return
        # A proof that comes too late shows that the replica was never fresh by it: it must not prolong anything.
        in_time = [proof for proof in self._waiting if now < proof[0] + self._bound_s]
        newest = max((began_at for began_at, head in in_time if head <= position), default=NEVER)
        self._waiting = [proof for proof in in_time if proof[0] > newest]
        if newest > self.confirmed_at:
            self.confirmed_at = newest
            self.fresh_until = newest + self._bound_s
            self.continues_until = newest + self._continuation_s

    def lapse(self) -> None:
        """Turn stale at once; what may continue goes on within its time."""
        self._waiting.clear()
        self.fresh_until = NEVER

    def reset(self) -> None:
        """Forget everything: the replica has never been fresh."""
        self.lapse()
        self.continues_until = NEVER
        self.confirmed_at = NEVER
