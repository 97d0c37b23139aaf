"""What operators author, read: messages of the contract as the rules of prices have them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from google.type import money_pb2
from rapport.pricing.v1 import authored_pb2
from rapport_chassis.times import duration, moment

from rapport_pricing.app.rules import Kind, Learning, Market, Policy, Terms
from rapport_pricing.app.stored import SECOND_US
from rapport_pricing.app.times import micros_of
from rapport_pricing.app.trials import Trial
from rapport_pricing.domain.endings import Ending
from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.experiments import Experiment, Unit
from rapport_pricing.domain.guardrails import Quantity, Rule, Side
from rapport_pricing.domain.money import PPM, Rounding, exponent_of
from rapport_pricing.domain.policy import PolicySettings
from rapport_pricing.domain.promotions import Audience, Benefit, Caps, Promotion, Scope
from rapport_pricing.domain.tax import TaxPoint, TaxPolicy
from rapport_pricing.translate.money import money_of
from rapport_pricing.translate.products import TIERS

AnyTerms = (
    authored_pb2.MarketTerms
    | authored_pb2.PricePolicyTerms
    | authored_pb2.PromotionTerms
    | authored_pb2.ExperimentTerms
)

_ROUNDINGS: Final = {
    authored_pb2.ROUNDING_MODE_UNSPECIFIED: Rounding.HALF_UP,
    authored_pb2.ROUNDING_MODE_HALF_UP: Rounding.HALF_UP,
    authored_pb2.ROUNDING_MODE_HALF_EVEN: Rounding.HALF_EVEN,
    authored_pb2.ROUNDING_MODE_DOWN: Rounding.DOWN,
    authored_pb2.ROUNDING_MODE_UP: Rounding.UP,
}
_TAX_POINTS: Final = {
    authored_pb2.TAX_POINT_UNSPECIFIED: TaxPoint.LINE,
    authored_pb2.TAX_POINT_LINE: TaxPoint.LINE,
    authored_pb2.TAX_POINT_TOTAL: TaxPoint.TOTAL,
}
_TIERS: Final = {number: tier for tier, number in TIERS.items()}
_SIDES: Final = {
    authored_pb2.RULE_SIDE_FLOOR: Side.FLOOR,
    authored_pb2.RULE_SIDE_CEILING: Side.CEILING,
    authored_pb2.RULE_SIDE_EXACT: Side.EXACT,
}
_QUANTITIES: Final = {
    authored_pb2.RULE_QUANTITY_UNSPECIFIED: Quantity.NONE,
    authored_pb2.RULE_QUANTITY_COST: Quantity.COST,
    authored_pb2.RULE_QUANTITY_PUBLISHED: Quantity.PUBLISHED,
    authored_pb2.RULE_QUANTITY_HIGHEST_90_DAYS: Quantity.HIGHEST_90_DAYS,
    authored_pb2.RULE_QUANTITY_AVERAGE_30_DAYS: Quantity.AVERAGE_30_DAYS,
}
_AUDIENCES: Final = {
    authored_pb2.PROMOTION_AUDIENCE_PUBLIC: Audience.PUBLIC,
    authored_pb2.PROMOTION_AUDIENCE_OPEN_CODE: Audience.OPEN_CODE,
    authored_pb2.PROMOTION_AUDIENCE_LOYALTY: Audience.LOYALTY,
    authored_pb2.PROMOTION_AUDIENCE_INDIVIDUAL: Audience.INDIVIDUAL,
}
_BENEFITS: Final = {
    "percent_ppm": Benefit.PERCENT,
    "amount_each": Benefit.AMOUNT_EACH,
    "price_each": Benefit.PRICE_EACH,
    "amount_basket": Benefit.AMOUNT_BASKET,
}
_PLANNED_UNITS: Final = 10_000
_DAY_S: Final = 86_400.0
_LOWEST_PPM: Final = 600_000
_HIGHEST_PPM: Final = 1_500_000
_QUOTE_VALID_US: Final = 15 * 60 * SECOND_US
_MESSAGES: Final[dict[Kind, Callable[[], AnyTerms]]] = {
    Kind.MARKET: authored_pb2.MarketTerms,
    Kind.POLICY: authored_pb2.PricePolicyTerms,
    Kind.PROMOTION: authored_pb2.PromotionTerms,
    Kind.EXPERIMENT: authored_pb2.ExperimentTerms,
}


def terms_in(kind: Kind, name: str, version: int, body: bytes) -> Terms:
    """Return terms from where they are stored."""
    message = _MESSAGES[kind]()
    message.ParseFromString(body)
    return terms_of(name, version, message)


def terms_of(name: str, version: int, message: AnyTerms) -> Terms:
    """Return what terms say.

    Raises:
        RapportError: GUARDRAIL_INVALID, PROMOTION_INVALID, MONEY_INVALID, CURRENCY_MISMATCH: they cannot mean it.
    """
    if isinstance(message, authored_pb2.MarketTerms):
        return _market(name, version, message)
    if isinstance(message, authored_pb2.PricePolicyTerms):
        return _policy(name, version, message)
    if isinstance(message, authored_pb2.ExperimentTerms):
        return _trial(name, version, message)
    return _promotion(name, version, message)


def currency_in(message: authored_pb2.PromotionTerms) -> str:
    """Return the currency of a promotion's amounts; empty where it has none."""
    benefit = message.WhichOneof("benefit") or ""
    if benefit != "percent_ppm":
        money: money_pb2.Money = getattr(message, benefit)
        return money.currency_code
    return message.minimum_spend.currency_code


def _market(name: str, version: int, message: authored_pb2.MarketTerms) -> Market:
    exponent_of(message.currency)
    valid = _QUOTE_VALID_US
    if message.HasField("quote_valid_for"):
        valid = round(duration(message.quote_valid_for).total_seconds() * SECOND_US)
    return Market(
        name=name,
        version=version,
        currency=message.currency,
        tax=TaxPolicy(
            included=not message.tax_excluded,
            point=_TAX_POINTS[message.tax_point],
            rounding=_ROUNDINGS[message.tax_rounding],
        ),
        quote_valid_us=valid,
        emergency_us=micros_of(moment(message.emergency_since)) if message.HasField("emergency_since") else None,
    )


def _policy(name: str, version: int, message: authored_pb2.PricePolicyTerms) -> Policy:
    ending = Ending(message.ending.modulus, tuple(message.ending.digits)) if message.HasField("ending") else None
    rules = tuple(_rule(each) for each in message.rules)
    names = {each.rule_id for each in rules}
    if len(names) != len(rules) or any(each.startswith("law.") for each in names):
        raise ERRORS.error("GUARDRAIL_INVALID", "a rule occurs twice, or is named like a law", field="terms.rules")
    learning = _learning(message.learning) if message.HasField("learning") else None
    return Policy(name, version, message.rank, _scope(message.scope), rules, ending, learning)


def _learning(message: authored_pb2.LearningTerms) -> Learning:
    usual = PolicySettings()
    within = duration(message.bought_within).total_seconds() if message.HasField("bought_within") else _DAY_S
    lowest, highest = message.lowest_ppm or _LOWEST_PPM, message.highest_ppm or _HIGHEST_PPM
    if not lowest <= PPM <= highest:
        raise ERRORS.error(
            "GUARDRAIL_INVALID", "the price that learning begins with is allowed", field="terms.learning"
        )
    return Learning(
        replace(
            usual,
            hold=message.hold_visits or usual.hold,
            explore_share=message.explore_ppm / PPM if message.HasField("explore_ppm") else usual.explore_share,
            forgo=message.forgo_ppm / PPM if message.HasField("forgo_ppm") else usual.forgo,
        ),
        lowest,
        highest,
        round(within * SECOND_US),
    )


def _rule(message: authored_pb2.PriceRule) -> Rule:
    until = None
    if message.HasField("until_unchanged_for"):
        until = Quantity.SECONDS_SINCE_CHANGE, -int(-duration(message.until_unchanged_for).total_seconds() // 1)
    return Rule(
        rule_id=message.rule_id,
        tier=_TIERS[message.tier],
        side=_SIDES[message.side],
        of=_QUANTITIES[message.of],
        numerator=message.numerator,
        denominator=message.denominator or 1,
        amount=message.amount_minor,
        yields=not message.strict,
        until=until,
    )


def _promotion(name: str, version: int, message: authored_pb2.PromotionTerms) -> Promotion:
    scope = _scope(message.scope)
    benefit = message.WhichOneof("benefit") or ""
    money: money_pb2.Money | None = getattr(message, benefit) if benefit != "percent_ppm" else None
    value = message.percent_ppm if money is None else money_of(money, f"terms.{benefit}").minor
    spend = money_of(message.minimum_spend, "terms.minimum_spend") if message.HasField("minimum_spend") else None
    if spend is not None and money is not None and spend.currency != money.currency_code:
        raise ERRORS.error("CURRENCY_MISMATCH", "a promotion has one currency", field="terms.minimum_spend")
    caps = message.caps
    individual = message.audience == authored_pb2.PROMOTION_AUDIENCE_INDIVIDUAL
    if individual and (benefit == "amount_basket" or caps.HasField("budget_minor")):
        raise ERRORS.error("PROMOTION_INVALID", "an offer takes off lines, and has no budget", field="terms")
    return Promotion(
        promotion_id=name,
        version=version,
        benefit=_BENEFITS[benefit],
        value=value,
        since_us=micros_of(moment(message.valid_from)),
        until_us=micros_of(moment(message.valid_until)),
        order=message.order,
        exclusive=message.exclusive,
        group=message.group,
        of_initial=message.of_initial,
        scope=scope,
        audience=_AUDIENCES[message.audience],
        code=message.code,
        loyalty=message.loyalty,
        minimum_spend=spend.minor if spend is not None else 0,
        caps=Caps(
            uses=caps.uses if caps.HasField("uses") else None,
            uses_each=caps.uses_each if caps.HasField("uses_each") else None,
            budget=caps.budget_minor if caps.HasField("budget_minor") else None,
        ),
        rounding=_ROUNDINGS[message.rounding],
    )


def _trial(name: str, version: int, message: authored_pb2.ExperimentTerms) -> Trial:
    switchback = message.unit == authored_pb2.EXPERIMENT_UNIT_SWITCHBACK
    shares = {each.name: each.share for each in message.arms}
    if len(shares) < len(message.arms) or message.arms[0].promotion_id:
        what = "arms have names of their own, and the first is given published prices"
        raise ERRORS.error("EXPERIMENT_INVALID", what, field="terms.arms")
    if message.bandit and not switchback:
        raise ERRORS.error("EXPERIMENT_INVALID", "one account sees one price", field="terms.bandit")
    period = duration(message.period).total_seconds() if message.HasField("period") else 0
    experiment = Experiment(
        f"{name}:{version}",
        Unit.SWITCHBACK if switchback else Unit.ACCOUNT,
        shares,
        round(period * SECOND_US),
    )
    return Trial(
        name,
        version,
        experiment,
        {each.name: each.promotion_id for each in message.arms},
        frozenset(message.markets),
        message.bandit,
        message.planned_units or _PLANNED_UNITS,
    )


def _scope(message: authored_pb2.TermsScope) -> Scope:
    return Scope(
        products=frozenset(message.product_ids),
        categories=frozenset(message.categories),
        brands=frozenset(message.brand_ids),
        markets=frozenset(message.markets),
    )
