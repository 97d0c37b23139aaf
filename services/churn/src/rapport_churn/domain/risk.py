"""When a customer is said to be at risk, and when no longer: levels that do not flap, and changes that matter."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class RiskLevel(IntEnum):
    """How great a risk is; the numbers are those of the contract."""

    NONE = 0
    ELEVATED = 1
    HIGH = 2
    CRITICAL = 3


@dataclass(frozen=True, slots=True)
class RiskPolicy:
    """Where levels begin and end.

    Attributes:
        elevated: Chance of leaving from which a risk is elevated.
        high: From which it is high.
        critical: From which it is critical.
        margin: A level ends only when the chance has fallen so far below its beginning.
        material: A score has changed materially when the chance has moved by so much.

    Raises:
        ValueError: The levels are not in order, or leave no room for the margin.
    """

    elevated: float = 0.6
    high: float = 0.75
    critical: float = 0.9
    margin: float = 0.05
    material: float = 0.05

    def __post_init__(self) -> None:
        if not 0.0 < self.elevated < self.high < self.critical <= 1.0:
            raise ValueError("levels rise from above 0 to 1")
        if not 0.0 <= self.margin < self.elevated or not 0.0 < self.material <= 1.0:
            raise ValueError("the margin is less than the lowest level, and a material change is one")

    def level(self, churn: float, before: RiskLevel = RiskLevel.NONE) -> RiskLevel:
        """Return the level of a chance of leaving, after an earlier level: it rises at once and falls with a margin."""
        risen = self._reached(churn)
        kept = min(before, self._reached(churn + self.margin))
        return max(risen, kept)

    def is_material(self, churn: float, told: float | None) -> bool:
        """Whether a chance of leaving is worth telling after the one that was told last; None for none."""
        return told is None or abs(churn - told) >= self.material

    def _reached(self, churn: float) -> RiskLevel:
        return RiskLevel(sum(churn >= begin for begin in (self.elevated, self.high, self.critical)))
