"""BG/NBD: how often somebody buys and when they stop, from three numbers a customer (Fader, Hardie and Lee, 2005).

Purchases come at a rate that differs between people (gamma), and after each purchase a person stops with a chance that
differs too (beta). Four parameters hold for everybody; nothing here needs a label, so a score exists on the first day.
The formulas are elementary, therefore serving needs no scientific library.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, expm1, log, log1p
from typing import Final

import numpy as np

_SERIES_BLOCK: Final = 256
_SERIES_TERMS: Final = 100_000
_SERIES_EXACT: Final = 1e-13
_POLE: Final = 1e-6
_BLOCK: Final = np.arange(_SERIES_BLOCK, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class BgNbd:
    """The four parameters; time is in days.

    Attributes:
        r: Shape of the gamma distribution of purchase rates.
        alpha: Its rate, in days.
        a: First parameter of the beta distribution of stopping after a purchase.
        b: Second parameter of it.
    """

    r: float
    alpha: float
    a: float
    b: float

    def __post_init__(self) -> None:
        if not all(0.0 < value < float("inf") for value in (self.r, self.alpha, self.a, self.b)):
            raise ValueError("the parameters of BG/NBD are positive and finite")

    def log_odds_alive(self, frequency: float, recency: float, tenure: float) -> float:
        """Return the log-odds that a customer has not stopped; infinite before the first repeat, by the model's rule.

        Args:
            frequency: Repeat purchases.
            recency: Days from the first to the last purchase.
            tenure: Days from the first purchase until now.
        """
        if frequency <= 0:
            return float("inf")
        quiet = (self.r + frequency) * log((self.alpha + tenure) / (self.alpha + recency))
        return log((self.b + frequency - 1.0) / self.a) - quiet

    def chance_alive(self, frequency: float, recency: float, tenure: float) -> float:
        """Return the chance that a customer has not stopped."""
        return _logistic(self.log_odds_alive(frequency, recency, tenure))

    def churn(self, frequency: float, recency: float, tenure: float, days: float) -> float:
        """Return the chance of no purchase within the next days.

        Stopping happens only after a purchase, so somebody who is still there buys nothing with the chance of a gamma
        mixture of silences, and somebody who has stopped with certainty.
        """
        bought = -expm1((self.r + frequency) * -log1p(days / (self.alpha + tenure)))
        return 1.0 - self.chance_alive(frequency, recency, tenure) * bought

    def log_odds_churn(self, frequency: float, recency: float, tenure: float, days: float) -> float:
        """Return the log-odds of no purchase within the next days, exact where the chance rounds to one."""
        bought = -expm1((self.r + frequency) * -log1p(days / (self.alpha + tenure)))
        chance = max(self.chance_alive(frequency, recency, tenure) * bought, 1e-300)
        return log1p(-min(chance, 1.0 - 1e-16)) - log(chance)

    def purchases(self, frequency: float, recency: float, tenure: float, days: float) -> float:
        """Return the expected number of purchases within the next days.

        The hypergeometric function of the published formula is taken through Euler's transformation, after which its
        series converges fast for every customer.
        """
        a = self.a if abs(self.a - 1.0) > _POLE else 1.0 + _POLE
        third = a + self.b + frequency - 1.0
        if abs(third) < _POLE:
            third = _POLE
        share = days / (self.alpha + tenure + days)
        series = hypergeometric(a + self.b - 1.0 - self.r, a - 1.0, third, share)
        expected = third / (a - 1.0) * (1.0 - series * exp((a - 1.0) * log1p(-share)))
        return max(0.0, expected) * self.chance_alive(frequency, recency, tenure)


def hypergeometric(a: float, b: float, c: float, z: float) -> float:
    """Return Gauss's 2F1(a, b; c; z) for 0 <= z < 1 by its series.

    Raises:
        ValueError: z lies outside of the disc of convergence.
        ArithmeticError: The series did not settle, which takes z within 1e-4 of one.
    """
    if not 0.0 <= z < 1.0:
        raise ValueError("the series converges for 0 <= z < 1")
    total = term = 1.0
    for start in range(0, _SERIES_TERMS, _SERIES_BLOCK):
        n = _BLOCK + start
        with np.errstate(over="ignore"):  # what grows beyond all numbers does not settle
            terms = np.multiply.accumulate((a + n) * (b + n) / ((c + n) * (n + 1.0)) * z)
        total += term * float(terms.sum())
        term *= float(terms[-1])
        if abs(term) <= _SERIES_EXACT * (1.0 - z) * abs(total):
            return total
    raise ArithmeticError("the hypergeometric series did not settle")


def _logistic(odds: float) -> float:
    if odds >= 0.0:
        return 1.0 / (1.0 + exp(-odds))
    grown = exp(odds)
    return grown / (1.0 + grown)
