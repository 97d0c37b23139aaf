"""Price endings: 12.99 rather than 13.07."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from rapport_pricing.domain.errors import ERRORS


@dataclass(frozen=True, slots=True)
class Ending:
    """The last digits that prices of a product may have, in minor units.

    Attributes:
        modulus: What the digits repeat after: 100 for the last two.
        digits: Rising, each below the modulus: (49, 99).

    Raises:
        RapportError: GUARDRAIL_INVALID, the digits are not rising or not below the modulus.
    """

    modulus: int
    digits: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.digits or list(self.digits) != sorted(set(self.digits)) or not self.digits[0] >= 0:
            raise ERRORS.error("GUARDRAIL_INVALID", "the digits of an ending must rise")
        if self.digits[-1] >= self.modulus:
            raise ERRORS.error("GUARDRAIL_INVALID", "the digits of an ending must stay below its modulus")

    def nearest(self, price: int, low: int, high: int) -> int:
        """Return the nearest price from low to high that ends so, the lower of two; the price itself if none does."""
        around = [each for each in self._around(price, low, high) if low <= each <= high]
        return min(around, key=lambda each: (abs(each - price), each), default=price)

    def _around(self, price: int, low: int, high: int) -> Iterator[int]:
        at = min(max(price, low), high)
        block, last = divmod(at, self.modulus)
        place = bisect_left(self.digits, last)
        for step in (place - 1, place):
            carry, digit = divmod(step, len(self.digits))
            yield (block + carry) * self.modulus + self.digits[digit]
