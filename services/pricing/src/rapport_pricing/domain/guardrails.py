"""The lattice of guardrails: rules as data, in strict precedence, that turn a wished price into a lawful one.

Tiers, highest first: law, cost and margin, contract price, rate and cadence of change, strategy. A rule bounds the
price from below, from above, or both, by a quantity times a ratio plus an amount. Floors round up and ceilings down. A
rule that meets a higher tier gives way to it; two that do not yield and leave no price are a refusal, no compromise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, NamedTuple

from rapport_pricing.domain.endings import Ending
from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.money import MAX_AMOUNT


class Tier(IntEnum):
    """Precedence; a lower number is stronger."""

    LAW = 1
    COST = 2
    CONTRACT = 3
    RATE = 4
    STRATEGY = 5


class Side(Enum):
    """From where a rule bounds the price."""

    FLOOR = "floor"
    CEILING = "ceiling"
    EXACT = "exact"


class Quantity(Enum):
    """What a rule may refer to; amounts are in minor units, as the price is."""

    NONE = "none"
    COST = "cost"
    PUBLISHED = "published"
    CONTRACT = "contract"
    HIGHEST_90_DAYS = "highest_90_days"
    AVERAGE_30_DAYS = "average_30_days"
    BEFORE_EMERGENCY = "before_emergency"
    NEW_CUSTOMER = "new_customer"
    SECONDS_SINCE_CHANGE = "seconds_since_change"
    VISITS_SINCE_CHANGE = "visits_since_change"


@dataclass(frozen=True, slots=True)
class Rule:
    """One guardrail: `of * numerator / denominator + amount` bounds the price from a side.

    Attributes:
        rule_id: Names it in answers, for example "law.us-ca.emergency".
        tier: Its precedence.
        side: From where it bounds; EXACT is floor and ceiling at once.
        of: What it refers to; a rule whose quantity is not known does not apply.
        numerator: With the denominator the ratio: 950,000 of 1,000,000 is 5 % below, 100 of 65 a margin of 35 %.
        denominator: Above zero.
        amount: Added to it, in minor units.
        yields: Whether it gives way to a higher tier; law and cost floors do not.
        until: It applies while this quantity is known and below the number: the cadence of change.
    """

    rule_id: str
    tier: Tier
    side: Side
    of: Quantity
    numerator: int = 1
    denominator: int = 1
    amount: int = 0
    yields: bool = True
    until: tuple[Quantity, int] | None = None

    def __post_init__(self) -> None:
        if self.denominator <= 0 or self.numerator < 0:
            raise ERRORS.error("GUARDRAIL_INVALID", "a ratio is zero or more over more than zero", field=self.rule_id)
        if self.yields and self.tier is Tier.LAW:
            raise ERRORS.error("GUARDRAIL_INVALID", "a law does not yield", field=self.rule_id)
        if not self.yields and self.tier > Tier.COST:
            raise ERRORS.error("GUARDRAIL_INVALID", "only law and cost do not yield", field=self.rule_id)


class Verdict(Enum):
    """What a rule did to the price."""

    NOT_APPLICABLE = "not_applicable"
    MET = "met"
    BINDING = "binding"
    YIELDED = "yielded"


class Looked(NamedTuple):
    """A rule that was looked at: its bounds after rounding, None on the side it leaves open."""

    rule: Rule
    floor: int | None
    ceiling: int | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Guarded:
    """A price that may be published.

    Attributes:
        price: In minor units.
        binding: Id of the strongest rule that moved or held the price; empty if the wish stands.
        low: Lowest price that was allowed.
        high: Highest price that was allowed.
        looked_at: Every rule, strongest first.
    """

    price: int
    binding: str
    low: int
    high: int
    looked_at: tuple[Looked, ...]


class Lattice:
    """Rules in order of precedence; made once, asked often."""

    __slots__ = ("_ending", "rules")

    def __init__(self, rules: Iterable[Rule], ending: Ending | None = None) -> None:
        """Order the rules: by tier, those that do not yield first, then by id.

        Raises:
            RapportError: GUARDRAIL_INVALID, an id occurs twice.
        """
        self.rules: Final = tuple(sorted(rules, key=lambda rule: (rule.tier, rule.yields, rule.rule_id)))
        self._ending: Final = ending
        if len({rule.rule_id for rule in self.rules}) != len(self.rules):
            raise ERRORS.error("GUARDRAIL_INVALID", "a rule occurs twice")

    def guard(self, wished: int, known: Mapping[Quantity, int]) -> Guarded:
        """Return the nearest allowed price to the one wished, with the ending where there is room for it.

        Args:
            wished: In minor units.
            known: Quantities that are known; a rule about another one does not apply.

        Raises:
            RapportError: GUARDRAILS_CONTRADICT, rules that do not yield, or rules of one tier, leave no price.
        """
        low, high = 0, MAX_AMOUNT
        lows: Rule | None = None
        highs: Rule | None = None
        looked: list[Looked] = []
        for rule in self.rules:
            floor, ceiling = _bounds(rule, known)
            verdict = Verdict.MET
            if floor is None and ceiling is None:
                verdict = Verdict.NOT_APPLICABLE
            if floor is not None and floor > low:
                if floor <= high:
                    low, lows = floor, rule
                else:
                    verdict = _give_way(rule, highs)
                    low, lows = high, highs
            if ceiling is not None and ceiling < high:
                if ceiling >= low:
                    high, highs = ceiling, rule
                else:
                    verdict = _give_way(rule, lows)
                    high, highs = low, lows
            looked.append(Looked(rule, floor, ceiling, verdict))
        price = min(max(wished, low), high)
        binding = lows if wished < low else highs if wished > high else None
        if self._ending is not None:
            price = self._ending.nearest(price, low, high)
        return Guarded(price, "" if binding is None else binding.rule_id, low, high, _bound_by(binding, looked))


def _bounds(rule: Rule, known: Mapping[Quantity, int]) -> tuple[int | None, int | None]:
    """Return the floor and the ceiling that a rule sets, rounded to the safe side; None where it sets none."""
    if rule.until is not None:
        elapsed = known.get(rule.until[0])
        if elapsed is None or elapsed >= rule.until[1]:
            return None, None
    if rule.of is Quantity.NONE:
        floor = ceiling = rule.amount
    else:
        of = known.get(rule.of)
        if of is None:
            return None, None
        product = of * rule.numerator
        floor = rule.amount - (-product // rule.denominator)
        ceiling = rule.amount + product // rule.denominator
    if rule.side is Side.FLOOR:
        return floor, None
    if rule.side is Side.CEILING:
        return None, ceiling
    return ceiling, ceiling


def _give_way(rule: Rule, stronger: Rule | None) -> Verdict:
    """Let a rule give way to a stronger one; raise where it may not, or where the two are of one tier."""
    if rule.yields and stronger is not None and (stronger.tier < rule.tier or not stronger.yields):
        return Verdict.YIELDED
    names = f"{rule.rule_id} and {stronger.rule_id if stronger else 'the range of amounts'}"
    raise ERRORS.error("GUARDRAILS_CONTRADICT", f"no price satisfies {names}", metadata={"rule": rule.rule_id})


def _bound_by(binding: Rule | None, looked: list[Looked]) -> tuple[Looked, ...]:
    if binding is None:
        return tuple(looked)
    return tuple(each._replace(verdict=Verdict.BINDING) if each.rule is binding else each for each in looked)
