"""Is it fair: price, discount and acceptance by group with intervals, and what the price would be without a feature."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_TWO_SIDED_95: Final = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Quoted:
    """One quote as the audit sees it; the group comes from a panel or a declared field, never from pricing.

    Attributes:
        group: Of the customer.
        published: Gross, in minor units.
        paid: Gross, in minor units.
        accepted: Whether it was redeemed.
    """

    group: str
    published: int
    paid: int
    accepted: bool


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """Figures of one group.

    Attributes:
        quotes: How many.
        price_ratio: Mean of paid over published, over that of everybody else.
        discount_rate: Share of quotes below the published price.
        acceptance: Share of quotes redeemed.
    """

    quotes: int
    price_ratio: Interval
    discount_rate: Interval
    acceptance: Interval


def by_group(quotes: Sequence[Quoted], *, least: int = 30) -> dict[str, GroupFigures]:
    """Return the figures of each group of at least so many quotes; a smaller one tells of chance, or of a person."""
    found: dict[str, GroupFigures] = {}
    for group in sorted({each.group for each in quotes}):
        inside = [each for each in quotes if each.group == group]
        outside = [each for each in quotes if each.group != group]
        if len(inside) >= least and len(outside) >= least:
            found[group] = GroupFigures(
                quotes=len(inside),
                price_ratio=_ratio(
                    [each.paid / each.published for each in inside], [each.paid / each.published for each in outside]
                ),
                discount_rate=wilson(sum(each.paid < each.published for each in inside), len(inside)),
                acceptance=wilson(sum(each.accepted for each in inside), len(inside)),
            )
    return found


def wilson(hits: int, of: int) -> Interval:
    """Return a share with its Wilson interval, which stays within 0 and 1."""
    rate, z = hits / of, _TWO_SIDED_95
    scale = 1 + z * z / of
    middle = (rate + z * z / (2 * of)) / scale
    half = z * math.sqrt(rate * (1 - rate) / of + z * z / (4 * of * of)) / scale
    return Interval(rate, min(middle - half, rate), max(middle + half, rate))


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """What a feature does to prices.

    Attributes:
        moved: Share of customers whose price changes when the feature is made neutral.
        mean_change: Mean of the price without it less the price with it, in minor units.
        gap_with: Largest difference of the mean price of two groups.
        gap_without: The same with the feature neutral: if smaller, the feature carries the gap.
    """

    moved: float
    mean_change: float
    gap_with: float
    gap_without: float


def drop_feature(
    customers: Sequence[tuple[str, Mapping[str, float]]],
    feature: str,
    neutral: float,
    price_of: Callable[[Mapping[str, float]], int],
) -> Counterfactual:
    """Price every customer again with one feature at its neutral value.

    Args:
        customers: Group and features of each.
        feature: Which to neutralise.
        neutral: Its neutral value.
        price_of: The rule under audit.
    """
    before = [(group, price_of(features)) for group, features in customers]
    after = [(group, price_of({**features, feature: neutral})) for group, features in customers]
    changes = [new - old for (_, old), (_, new) in zip(before, after, strict=True)]
    return Counterfactual(
        moved=sum(each != 0 for each in changes) / len(changes),
        mean_change=sum(changes) / len(changes),
        gap_with=_gap(before),
        gap_without=_gap(after),
    )


def _gap(prices: Sequence[tuple[str, int]]) -> float:
    groups: dict[str, list[int]] = {}
    for group, price in prices:
        groups.setdefault(group, []).append(price)
    means = [sum(each) / len(each) for each in groups.values()]
    return max(means) - min(means)


def _ratio(inside: Sequence[float], outside: Sequence[float]) -> Interval:
    """Return the ratio of two means with its interval, by the delta method on its logarithm."""
    (one, one_error), (other, other_error) = _mean(inside), _mean(outside)
    error = math.hypot(one_error / one, other_error / other)
    ratio = one / other
    return Interval(ratio, ratio * math.exp(-_TWO_SIDED_95 * error), ratio * math.exp(_TWO_SIDED_95 * error))


def _mean(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    variance = math.fsum((each - mean) ** 2 for each in values) / (len(values) - 1)
    return mean, math.sqrt(variance / len(values))
