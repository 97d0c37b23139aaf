"""How a product's price is steered: learned, paused or pinned; and when the next version is due."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rapport_pricing.domain.policy import PolicySettings


class Mode(Enum):
    """Who decides."""

    LEARN = "learn"
    PAUSED = "paused"
    PINNED = "pinned"


@dataclass(frozen=True, slots=True)
class Steering:
    """How one product is steered.

    Attributes:
        mode: Who decides.
        pinned: The price, in minor units, where it is pinned.
        incident: Whether exploration rests: an emergency was declared or outcomes cannot be trusted.
    """

    mode: Mode = Mode.LEARN
    pinned: int | None = None
    incident: bool = False

    def wish(self, published: int, learned: int, settled: int) -> int:
        """Return the price to hand to the guardrails.

        Args:
            published: In force now.
            learned: The policy's next version.
            settled: What the policy holds best, without learning.
        """
        if self.mode is Mode.PINNED and self.pinned is not None:
            return self.pinned
        if self.mode is Mode.PAUSED:
            return published
        return settled if self.incident else learned


def due(settings: PolicySettings, steering: Steering, shown: int) -> bool:
    """Return whether another version is due after a number of visits of the one in force."""
    return steering.mode is not Mode.PAUSED and shown >= settings.hold
