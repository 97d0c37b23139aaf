"""Checks of the guardrail lattice, written against a module that is passed in, so that mutants of it meet them too.

The oracle is a second implementation of the sentence in the design: walk the tiers from the strongest, keep the prices
that are left, and let whatever would empty them give way. It works on fractions and shares nothing with the module.
"""

import random
from fractions import Fraction
from types import ModuleType
from typing import Any

import pytest
from rapport_chassis.errors import RapportError
from rapport_pricing.domain.endings import Ending

LARGEST = 2**53


def rule(module: ModuleType, name: str, tier: str, side: str, of: str = "NONE", **more):
    """Return a rule; law and cost do not yield unless said."""
    more.setdefault("yields", tier not in ("LAW", "COST"))
    return module.Rule(name, module.Tier[tier], module.Side[side], module.Quantity[of], **more)


def known(module: ModuleType, **quantities: int):
    """Return quantities by their names."""
    return {module.Quantity[name.upper()]: value for name, value in quantities.items()}


def refusal(module: ModuleType, rules, wished: int, quantities) -> str:
    """Return the reason of the refusal; empty if there is a price."""
    try:
        module.Lattice(rules).guard(wished, quantities)
    except RapportError as error:
        return error.reason.name
    return ""


def check_each_rule_at_its_boundary(module: ModuleType) -> None:
    """One below, at, and one above the bound of every kind of rule in every tier."""
    for tier in ("LAW", "COST", "RATE", "STRATEGY"):
        floor = module.Lattice([rule(module, "r", tier, "FLOOR", "COST", numerator=3, denominator=2, amount=7)])
        ceiling = module.Lattice([rule(module, "r", tier, "CEILING", "PUBLISHED", numerator=105, denominator=100)])
        for wished, price, binding in ((158, 159, "r"), (159, 159, ""), (160, 160, "")):  # 101 * 1.5 + 7 = 158.5
            found = floor.guard(wished, known(module, cost=101))
            assert (found.price, found.binding, found.low) == (price, binding, 159), (tier, wished)
        for wished, price, binding in ((1046, 1046, ""), (1047, 1047, ""), (1048, 1047, "r")):  # 998 * 1.05 = 1047.9
            found = ceiling.guard(wished, known(module, published=998))
            assert (found.price, found.binding, found.high) == (price, binding, 1047), (tier, wished)
    contract = module.Lattice([rule(module, "r", "CONTRACT", "EXACT", "CONTRACT")])
    for wished, binding in ((499, "r"), (500, ""), (501, "r")):
        found = contract.guard(wished, known(module, contract=500))
        assert (found.price, found.binding, found.low, found.high) == (500, binding, 500, 500)
    amount = module.Lattice([rule(module, "r", "STRATEGY", "FLOOR", amount=100)])
    assert [amount.guard(wished, {}).price for wished in (99, 100, 101)] == [100, 100, 101]


def check_cadence_ends_at_its_number(module: ModuleType) -> None:
    """A rule with `until` holds below the number, not at it, and not where nothing is known."""
    cadence = module.Lattice(
        [rule(module, "r", "RATE", "EXACT", "PUBLISHED", until=(module.Quantity.VISITS_SINCE_CHANGE, 25))]
    )
    for visits, price in ((0, 1000), (24, 1000), (25, 1500), (26, 1500)):
        assert cadence.guard(1500, known(module, published=1000, visits_since_change=visits)).price == price
    assert cadence.guard(1500, known(module, published=1000)).price == 1500


def check_unknown_quantities_do_not_bind(module: ModuleType) -> None:
    """A rule about something unknown is looked at and does nothing."""
    lattice = module.Lattice([rule(module, "r", "COST", "FLOOR", "COST")])
    found = lattice.guard(5, {})
    assert (found.price, found.binding) == (5, "")
    assert [each.verdict for each in found.looked_at] == [module.Verdict.NOT_APPLICABLE]
    assert (found.looked_at[0].floor, found.looked_at[0].ceiling) == (None, None)


def check_precedence(module: ModuleType) -> None:
    """Each tier wins against each weaker one, whichever side they stand on."""
    tiers = ("COST", "CONTRACT", "RATE", "STRATEGY")
    for place, strong in enumerate(tiers):
        for weak in tiers[place + 1 :]:
            over = [rule(module, "z", strong, "FLOOR", amount=120), rule(module, "a", weak, "CEILING", amount=100)]
            found = module.Lattice(over).guard(90, {})
            assert (found.price, found.binding) == (120, "z"), (strong, weak)
            assert [each.verdict for each in found.looked_at] == [module.Verdict.BINDING, module.Verdict.YIELDED]
            under = [rule(module, "z", strong, "CEILING", amount=80), rule(module, "a", weak, "FLOOR", amount=100)]
            found = module.Lattice(under).guard(90, {})
            assert (found.price, found.binding) == (80, "z"), (strong, weak)
            assert (found.low, found.high) == (80, 80)
    law = [rule(module, "l", "LAW", "CEILING", amount=80), rule(module, "c", "COST", "FLOOR", amount=100, yields=True)]
    assert module.Lattice(law).guard(90, {}).price == 80
    met = module.Lattice([rule(module, "r", "COST", "FLOOR", amount=3)]).guard(9, {})
    assert [each.verdict for each in met.looked_at] == [module.Verdict.MET]
    for side, wished in (("FLOOR", 70), ("CEILING", 90)):
        same = [rule(module, "z", "COST", side, amount=80), rule(module, "a", "RATE", side, amount=80)]
        assert module.Lattice(same).guard(wished, {}).binding == "z", "of equal bounds the stronger rule is named"
    edge = [rule(module, "z", "COST", "FLOOR", amount=80), rule(module, "a", "RATE", "CEILING", amount=80)]
    found = module.Lattice(edge).guard(90, {})
    assert (found.price, found.binding) == (80, "a")
    edge = [rule(module, "z", "COST", "CEILING", amount=80), rule(module, "a", "RATE", "FLOOR", amount=80)]
    found = module.Lattice(edge).guard(70, {})
    assert (found.price, found.binding) == (80, "a")


def check_refusals(module: ModuleType) -> None:
    """Rules that do not yield, and rules of one tier, leave no price: a typed refusal that names one of them."""
    contradict = "GUARDRAILS_CONTRADICT"
    law = rule(module, "law", "LAW", "CEILING", amount=80)
    cost = rule(module, "cost", "COST", "FLOOR", amount=81)
    assert refusal(module, [law, cost], 80, {}) == contradict
    assert refusal(module, [law, rule(module, "cost", "COST", "FLOOR", amount=80)], 90, {}) == ""
    for tier in ("LAW", "COST", "CONTRACT", "RATE", "STRATEGY"):
        pair = [rule(module, "a", tier, "FLOOR", amount=11), rule(module, "b", tier, "CEILING", amount=10)]
        assert refusal(module, pair, 10, {}) == contradict, tier
        assert refusal(module, [*pair[:1], rule(module, "b", tier, "CEILING", amount=11)], 10, {}) == ""
    mixed = [law, rule(module, "x", "LAW", "FLOOR", amount=90), rule(module, "s", "STRATEGY", "FLOOR", amount=1)]
    assert refusal(module, mixed, 10, {}) == contradict
    assert refusal(module, [rule(module, "r", "STRATEGY", "CEILING", amount=-1)], 0, {}) == contradict
    assert refusal(module, [rule(module, "r", "STRATEGY", "FLOOR", amount=LARGEST + 1)], 0, {}) == contradict
    assert refusal(module, [rule(module, "r", "STRATEGY", "FLOOR", amount=LARGEST)], 0, {}) == ""
    with pytest.raises(RapportError, match="cost and law") as caught:
        module.Lattice([law, cost]).guard(1, {})
    assert caught.value.metadata == {"rule": "cost"}


def check_hard_rules_of_one_tier_beat_soft_ones(module: ModuleType) -> None:
    """Inside a tier a rule that does not yield is stronger than one that does, on either side."""
    for one, other in (("FLOOR", "CEILING"), ("CEILING", "FLOOR")):
        amounts = (100, 90) if one == "FLOOR" else (90, 100)
        pair = [
            rule(module, "soft", "COST", other, amount=amounts[1], yields=True),
            rule(module, "never", "COST", one, amount=amounts[0], yields=False),
        ]
        assert module.Lattice(pair).guard(95, {}).price == amounts[0]


def check_declarations(module: ModuleType) -> None:
    """What a rule cannot mean is refused when it is declared."""

    def invalid(make) -> bool:
        try:
            make()
        except RapportError as error:
            return error.reason.name == "GUARDRAIL_INVALID"
        return False

    assert invalid(lambda: rule(module, "r", "RATE", "FLOOR", "COST", denominator=0))
    assert invalid(lambda: rule(module, "r", "RATE", "FLOOR", "COST", denominator=-1))
    assert invalid(lambda: rule(module, "r", "RATE", "FLOOR", "COST", numerator=-1))
    assert not invalid(lambda: rule(module, "r", "RATE", "FLOOR", "COST", numerator=0))
    assert invalid(lambda: rule(module, "r", "LAW", "FLOOR", yields=True))
    assert not invalid(lambda: rule(module, "r", "LAW", "FLOOR", yields=False))
    assert not invalid(lambda: rule(module, "r", "COST", "FLOOR", yields=False))
    for tier in ("CONTRACT", "RATE", "STRATEGY"):
        assert invalid(lambda tier=tier: rule(module, "r", tier, "FLOOR", yields=False))
    one = rule(module, "r", "RATE", "FLOOR")
    assert invalid(lambda: module.Lattice([one, one]))
    assert not invalid(lambda: module.Lattice([one]))
    plain = module.Rule("r", module.Tier.RATE, module.Side.FLOOR, module.Quantity.COST)
    assert (plain.numerator, plain.denominator, plain.amount, plain.yields, plain.until) == (1, 1, 0, True, None)


def check_order_of_answers(module: ModuleType) -> None:
    """Rules are looked at and answered from the strongest, then by id."""
    rules = [
        rule(module, "b", "STRATEGY", "FLOOR"),
        rule(module, "a", "STRATEGY", "FLOOR"),
        rule(module, "c", "COST", "FLOOR"),
        rule(module, "z", "LAW", "FLOOR"),
    ]
    found = module.Lattice(rules).guard(4, {})
    assert [each.rule.rule_id for each in found.looked_at] == ["z", "c", "a", "b"]
    assert [tier.name for tier in module.Tier] == ["LAW", "COST", "CONTRACT", "RATE", "STRATEGY"]


def check_endings_come_before_the_last_clamp(module: ModuleType) -> None:
    """An ending is taken where the bounds leave one, and never carries the price across them."""
    ending = Ending(100, (49, 99))
    lattice = module.Lattice(
        [rule(module, "f", "COST", "FLOOR", amount=1050), rule(module, "c", "STRATEGY", "CEILING", amount=1198)], ending
    )
    assert [lattice.guard(wished, {}).price for wished in (0, 1050, 1120, 1124, 1125, 1198, 5000)] == [
        1099, 1099, 1099, 1099, 1149, 1149, 1149,
    ]  # fmt: skip
    tight = module.Lattice(
        [rule(module, "f", "COST", "FLOOR", amount=1100), rule(module, "c", "STRATEGY", "CEILING", amount=1140)], ending
    )
    assert [tight.guard(wished, {}).price for wished in (0, 1120, 2000)] == [1100, 1120, 1140]


def check_random_cases(module: ModuleType, cases: int, seed: int = 1) -> int:
    """Compare with the oracle on invented lattices; return how many were refused."""
    draw = random.Random(seed)
    return sum(_random_cases_of_one(module, draw) for _ in range(-(-cases // _WISHES)))


_WISHES = 8


def _random_cases_of_one(module: ModuleType, draw: random.Random) -> int:
    rules, quantities = _invented(module, draw)
    ending = Ending(100, (49, 99)) if draw.random() < 0.3 else None
    expected = _oracle(module, rules, quantities)
    lattice = module.Lattice(rules, ending)
    refused = 0
    for _ in range(_WISHES):
        wished = draw.randint(0, 2000)
        try:
            found = lattice.guard(wished, quantities)
        except RapportError:
            assert expected is None, (rules, quantities)
            refused += 1
            continue
        assert expected is not None, (rules, quantities)
        low, high = expected
        assert (found.low, found.high) == expected, (rules, quantities)
        assert low <= found.price <= high
        if ending is None:
            assert found.price == min(max(wished, low), high)
        assert bool(found.binding) == (not low <= wished <= high)
        assert len(found.looked_at) == len(rules)
    return refused


def _invented(module: ModuleType, draw: random.Random) -> tuple[list[Any], dict[Any, int]]:
    quantities = {
        quantity: draw.randint(0, 1500)
        for quantity in module.Quantity
        if quantity is not module.Quantity.NONE and draw.random() < 0.8
    }
    tiers, sides, of = list(module.Tier), list(module.Side), list(module.Quantity)
    rules = []
    for place in range(draw.randint(0, 6)):
        tier = draw.choice(tiers)
        soft = tier > 2 or (tier == 2 and draw.random() < 0.3)
        until = (module.Quantity.VISITS_SINCE_CHANGE, draw.randint(0, 1500)) if draw.random() < 0.2 else None
        rules.append(
            module.Rule(
                f"r{place}",
                tier,
                draw.choice(sides),
                draw.choice(of),
                draw.randint(0, 130),
                draw.randint(1, 120),
                draw.randint(-50, 900),
                yields=soft,
                until=until,
            )
        )
    return rules, quantities


def _oracle(module: ModuleType, rules: list[Any], quantities: dict[Any, int]) -> tuple[int, int] | None:
    low, high = 0, LARGEST
    low_tier = high_tier = (0, False)
    for each in sorted(rules, key=lambda rule: (int(rule.tier), rule.yields, rule.rule_id)):
        if each.until is not None and quantities.get(each.until[0], LARGEST) >= each.until[1]:
            continue
        if each.of is not module.Quantity.NONE and each.of not in quantities:
            continue
        of = 0 if each.of is module.Quantity.NONE else quantities[each.of]
        bound = Fraction(of * each.numerator, each.denominator) + each.amount
        up, down = -((-bound).__floor__()), bound.__floor__()
        strength = (int(each.tier), each.yields)
        sides = {"FLOOR": [("low", up)], "CEILING": [("high", down)], "EXACT": [("low", down), ("high", down)]}
        for side, value in sides[each.side.name]:
            if side == "low" and value > low:
                if value <= high:
                    low, low_tier = value, strength
                elif each.yields and high_tier != (0, False) and high_tier < strength:
                    low, low_tier = high, high_tier
                else:
                    return None
            if side == "high" and value < high:
                if value >= low:
                    high, high_tier = value, strength
                elif each.yields and low_tier != (0, False) and low_tier < strength:
                    high, high_tier = low, low_tier
                else:
                    return None
    return low, high


def check_all(module: ModuleType, cases: int) -> None:
    """Run every check."""
    check_each_rule_at_its_boundary(module)
    check_cadence_ends_at_its_number(module)
    check_unknown_quantities_do_not_bind(module)
    check_precedence(module)
    check_refusals(module)
    check_hard_rules_of_one_tier_beat_soft_ones(module)
    check_declarations(module)
    check_order_of_answers(module)
    check_endings_come_before_the_last_clamp(module)
    check_random_cases(module, cases)
