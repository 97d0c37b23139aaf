"""How far of the consent ledger a process knows: no task is worked at before it knows what the task rests upon."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from rapport_privacy.embedded import ConsentGate


@dataclass(frozen=True, slots=True)
class Known:
    """A point in the ledger up to which all is known.

    Attributes:
        epoch: Epoch of the ledger; empty while nothing is known.
        position: Position in it.
        fresh: Whether that is, at this moment, all there is.
        fenced: Every id of everybody who was ever erased, as far as it is known.
    """

    epoch: str = ""
    position: int = 0
    fresh: bool = False
    fenced: Collection[str] = ()


Ledger = Callable[[], Awaitable[Known]]
"""Says how far the ledger is known."""


def known_by(gate: ConsentGate | None) -> Ledger:
    """Return what a gate knows; without one nothing is known, and no task that rests upon the ledger is worked at."""

    async def known() -> Known:
        if gate is None or not gate.replica.warm:
            return Known()
        return Known(gate.replica.epoch, gate.replica.position, gate.is_fresh, gate.replica.fences)

    return known
