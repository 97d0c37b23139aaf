"""Several models that speak as one: a weighted sum of their log-odds, calibrated; everything stays a sum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from rapport_churn.domain.calibration import NONE, Calibrator


class Member(StrEnum):
    """A model of the stack."""

    LIGHTGBM = "lightgbm"
    LOGISTIC = "logistic"
    BGNBD = "bgnbd"


@dataclass(frozen=True)
class Stack:
    """How the members are put together.

    Attributes:
        weights: Of each member that has a say; they sum to one.
        calibrator: Applied to the weighted sum.
    """

    weights: Mapping[Member, float]
    calibrator: Calibrator = NONE

    def __post_init__(self) -> None:
        if min(self.weights.values(), default=-1.0) < 0.0 or abs(sum(self.weights.values()) - 1.0) > 1e-9:
            raise ValueError("the weights of a stack are not negative and sum to one")

    def factor(self, member: Member) -> float:
        """Return by how much one unit of a member's log-odds moves the score's."""
        return self.calibrator.slope * self.weights.get(member, 0.0)

    def log_odds(self, members: Mapping[Member, float]) -> float:
        """Return the log-odds of the score from those of the members."""
        summed = sum(self.factor(member) * members[member] for member, weight in self.weights.items() if weight)
        return summed + self.calibrator.intercept
