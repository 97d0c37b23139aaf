"""Gamma-Gamma: what a purchase of a customer is worth, from the mean of those seen (Fader and Hardie, 2013).

Together with the expected number of purchases of BG/NBD it says what a customer is worth, without a label.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GammaGamma:
    """The three parameters; money is in minor units.

    Attributes:
        p: Shape of the values of one customer's purchases.
        q: Shape of the distribution of customers; above one, or no mean exists.
        v: Scale of it, in minor units.
    """

    p: float
    q: float
    v: float

    def __post_init__(self) -> None:
        if not (0.0 < self.p < float("inf") and 1.0 < self.q < float("inf") and 0.0 < self.v < float("inf")):
            raise ValueError("Gamma-Gamma needs p > 0, q > 1 and v > 0")

    def mean_value(self, purchases: float, observed: float) -> float:
        """Return the expected value of a customer's next purchase.

        It lies between the mean of all customers, which holds for somebody of whom nothing is known, and the observed
        mean, which prevails as purchases accumulate.

        Args:
            purchases: How many purchases the observed mean is of; 0 if there are none.
            observed: The mean of them; ignored if there are none.
        """
        known = purchases * observed if purchases > 0 and observed > 0 else 0.0
        count = purchases if known > 0 else 0.0
        return self.p * (self.v + known) / (self.p * count + self.q - 1.0)
