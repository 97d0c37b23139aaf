"""Law as dated data: jurisdiction, rule, effective dates, threshold. Another rule, or another date, needs no code."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import cache
from importlib import resources
from typing import Any, Final

from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.guardrails import Quantity, Rule, Side, Tier
from rapport_pricing.domain.money import PPM


class LawKind(Enum):
    """What a rule of law is about."""

    PRIOR_PRICE = "prior_price"
    DISCLOSURE = "disclosure"
    BANNED_INPUTS = "banned_inputs"
    EMERGENCY_CAP = "emergency_cap"
    PERSONAL_PRICES_OFF = "personal_prices_off"
    LOYALTY_CEILING = "loyalty_ceiling"
    ALL_IN_TOTAL = "all_in_total"


@dataclass(frozen=True, slots=True)
class LawRule:
    """One rule.

    Attributes:
        rule_id: Named in answers.
        jurisdiction: A market such as "US-NY", a country, or a union of countries.
        kind: What it is about.
        since: First day it holds.
        until: First day it holds no more; None for no known end.
        categories: Product categories it holds for; empty for all.
        except_categories: Product categories it leaves out.
        unless_narrower: Whether a rule of the same kind for a part of the jurisdiction takes its place.
        terms: What the kind needs: days, ppm, reference, inputs, text.
        source: Where it is written.
    """

    rule_id: str
    jurisdiction: str
    kind: LawKind
    since: date
    until: date | None
    categories: frozenset[str]
    except_categories: frozenset[str]
    unless_narrower: bool
    terms: Mapping[str, Any]
    source: str

    def holds(self, category: str, on: date) -> bool:
        """Return whether it holds for a category on a day."""
        if on < self.since or (self.until is not None and on >= self.until):
            return False
        return category not in self.except_categories and (not self.categories or category in self.categories)


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What a price must say beside it."""

    rule_id: str
    text_code: str
    text: str


@dataclass(frozen=True, slots=True)
class Law:
    """All that holds for one category in one market on one day.

    Attributes:
        rule_ids: Every rule in force there.
        personal_allowed: Whether personal prices are lawful at all, consent given.
        disclosures: Texts a personalised price must carry.
        banned_inputs: Names of inputs that may not reach a price.
        prior_price_days: Length of the window of the prior price; 0 where none need be shown.
        prior_price_for: Audiences of promotions that must show it.
        all_in_total: Whether the total up front is a duty; it is on every quote anyway.
        emergency: Rules of the lattice that hold while an emergency is declared.
        standing: Rules of the lattice that always hold.
    """

    rule_ids: tuple[str, ...]
    personal_allowed: bool
    disclosures: tuple[Disclosure, ...]
    banned_inputs: frozenset[str]
    prior_price_days: int
    prior_price_for: frozenset[str]
    all_in_total: bool
    emergency: tuple[Rule, ...]
    standing: tuple[Rule, ...]

    def admit(self, inputs: Collection[str]) -> None:
        """Check the names of inputs of a price.

        Raises:
            RapportError: INPUT_BANNED.
        """
        banned = sorted(self.banned_inputs.intersection(inputs))
        if banned:
            raise ERRORS.error("INPUT_BANNED", f"banned by law: {', '.join(banned)}", field="inputs")


class LawBook:
    """Every rule that is known, in force or not."""

    def __init__(self, rules: Collection[LawRule], members: Mapping[str, Collection[str]]) -> None:
        """Keep the rules.

        Args:
            rules: In any order.
            members: Union -> its countries.

        Raises:
            RapportError: LAW_INVALID, an id occurs twice.
        """
        self.rules: Final = tuple(sorted(rules, key=lambda rule: rule.rule_id))
        self._members: Final = {union: frozenset(countries) for union, countries in members.items()}
        if len({rule.rule_id for rule in self.rules}) != len(self.rules):
            raise ERRORS.error("LAW_INVALID", "a rule occurs twice")

    def in_force(self, market: str, category: str, on: date) -> Law:
        """Return what holds for a category in a market on a day.

        Args:
            market: A country, or a country and its part: "DE", "US-NY".
            category: Of the product.
            on: The day, as the market counts it.
        """
        scopes = self._scopes(market)
        found = [rule for rule in self.rules if rule.jurisdiction in scopes and rule.holds(category, on)]
        narrow = {(rule.kind, rule.jurisdiction) for rule in found if rule.jurisdiction == market}
        rules = [
            rule
            for rule in found
            if not (rule.unless_narrower and rule.jurisdiction != market and (rule.kind, market) in narrow)
        ]
        of: dict[LawKind, list[LawRule]] = {kind: [] for kind in LawKind}
        for rule in rules:
            of[rule.kind].append(rule)
        return Law(
            rule_ids=tuple(rule.rule_id for rule in rules),
            personal_allowed=not of[LawKind.PERSONAL_PRICES_OFF],
            disclosures=tuple(
                Disclosure(rule.rule_id, rule.terms["text_code"], rule.terms["text"]) for rule in of[LawKind.DISCLOSURE]
            ),
            banned_inputs=frozenset(name for rule in of[LawKind.BANNED_INPUTS] for name in rule.terms["inputs"]),
            prior_price_days=max((rule.terms["days"] for rule in of[LawKind.PRIOR_PRICE]), default=0),
            prior_price_for=frozenset(name for rule in of[LawKind.PRIOR_PRICE] for name in rule.terms["applies_to"]),
            all_in_total=bool(of[LawKind.ALL_IN_TOTAL]),
            emergency=tuple(_cap(rule) for rule in of[LawKind.EMERGENCY_CAP]),
            standing=tuple(_loyalty(rule) for rule in of[LawKind.LOYALTY_CEILING]),
        )

    def _scopes(self, market: str) -> frozenset[str]:
        country = market.split("-", 1)[0]
        return frozenset({market, country} | {union for union, of in self._members.items() if country in of})


def read_law(text: str) -> LawBook:
    """Return the rules of a JSON document as `data/law.json` has them.

    Raises:
        RapportError: LAW_INVALID, a rule lacks what its kind needs.
    """
    document = json.loads(text)
    return LawBook([_rule(each) for each in document["rules"]], document["members"])


@cache
def shipped_law() -> LawBook:
    """Return the rules of this release."""
    return read_law(resources.files("rapport_pricing.domain").joinpath("data").joinpath("law.json").read_text("utf-8"))


_NEEDS: Final[Mapping[LawKind, tuple[str, ...]]] = {
    LawKind.PRIOR_PRICE: ("days", "applies_to"),
    LawKind.DISCLOSURE: ("text_code", "text"),
    LawKind.BANNED_INPUTS: ("inputs",),
    LawKind.EMERGENCY_CAP: ("reference", "ppm"),
    LawKind.PERSONAL_PRICES_OFF: (),
    LawKind.LOYALTY_CEILING: (),
    LawKind.ALL_IN_TOTAL: (),
}


def _rule(stored: Mapping[str, Any]) -> LawRule:
    try:
        kind = LawKind(stored["kind"])
        rule = LawRule(
            rule_id=stored["id"],
            jurisdiction=stored["jurisdiction"],
            kind=kind,
            since=date.fromisoformat(stored["from"]),
            until=date.fromisoformat(stored["until"]) if stored.get("until") else None,
            categories=frozenset(stored.get("categories", ())),
            except_categories=frozenset(stored.get("except_categories", ())),
            unless_narrower=bool(stored.get("unless_narrower", False)),
            terms={name: stored[name] for name in _NEEDS[kind]},
            source=stored["source"],
        )
        if kind is LawKind.EMERGENCY_CAP:
            _cap(rule)
    except (KeyError, ValueError) as error:
        raise ERRORS.error("LAW_INVALID", f"{stored.get('id', 'a rule')}: {error}") from error
    return rule


def _cap(rule: LawRule) -> Rule:
    reference = Quantity(rule.terms["reference"])
    return Rule(
        f"law.{rule.rule_id}", Tier.LAW, Side.CEILING, reference, PPM + int(rule.terms["ppm"]), PPM, yields=False
    )


def _loyalty(rule: LawRule) -> Rule:
    return Rule(f"law.{rule.rule_id}", Tier.LAW, Side.CEILING, Quantity.NEW_CUSTOMER, yields=False)
