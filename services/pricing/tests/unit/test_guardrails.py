import random
import sys
from pathlib import Path

import guardrail_checks as checks
import pytest
from mutants import mutants
from rapport_chassis.errors import RapportError
from rapport_pricing.domain import guardrails
from rapport_pricing.domain.guardrails import Lattice, Quantity, Rule, Side, Tier


@pytest.mark.parametrize(
    "check",
    [
        checks.check_each_rule_at_its_boundary,
        checks.check_cadence_ends_at_its_number,
        checks.check_unknown_quantities_do_not_bind,
        checks.check_precedence,
        checks.check_refusals,
        checks.check_hard_rules_of_one_tier_beat_soft_ones,
        checks.check_declarations,
        checks.check_order_of_answers,
        checks.check_endings_come_before_the_last_clamp,
    ],
    ids=lambda check: check.__name__.removeprefix("check_"),
)
def test_the_lattice_holds(check):
    check(guardrails)


def test_no_random_case_leaves_the_bounds_of_a_second_implementation(scale, prove):
    cases = scale.pick(small=20_000, full=1_000_000)
    refused = checks.check_random_cases(guardrails, cases, seed=7)
    assert 0 < refused < cases
    prove("pricing-guardrails", cases=cases, refused=refused, violations=0)


STANDING = Lattice(
    [
        Rule("law.emergency", Tier.LAW, Side.CEILING, Quantity.BEFORE_EMERGENCY, 110, 100, yields=False),
        Rule("cost.margin", Tier.COST, Side.FLOOR, Quantity.COST, 100, 90, yields=False),
        Rule("rate.fall", Tier.RATE, Side.FLOOR, Quantity.PUBLISHED, 95, 100),
        Rule("rate.rise", Tier.RATE, Side.CEILING, Quantity.PUBLISHED, 105, 100),
        Rule("rate.cadence", Tier.RATE, Side.EXACT, Quantity.PUBLISHED, until=(Quantity.VISITS_SINCE_CHANGE, 25)),
        Rule("strategy.recent", Tier.STRATEGY, Side.CEILING, Quantity.HIGHEST_90_DAYS, 120, 100),
    ]
)


def test_a_price_that_lives_through_cost_jumps_emergencies_and_wishes_never_breaks_a_rule(scale, prove):
    sequences = scale.pick(small=400, full=100_000)
    steps = refused = 0
    for seed in range(sequences):
        draw = random.Random(seed)
        published, cost, visits = draw.randint(500, 2000), draw.randint(100, 900), 25
        snapshot = None
        recent = [published]
        for _ in range(12):
            happens = draw.random()
            if happens < 0.15:
                cost = max(1, int(cost * draw.uniform(0.6, 1.7)))
            elif happens < 0.25:
                snapshot = published if snapshot is None else None
            visits += draw.choice((0, 1, 12, 24, 25, 60))
            known = {
                Quantity.COST: cost,
                Quantity.PUBLISHED: published,
                Quantity.VISITS_SINCE_CHANGE: visits,
                Quantity.HIGHEST_90_DAYS: max(recent),
            }
            if snapshot is not None:
                known[Quantity.BEFORE_EMERGENCY] = snapshot
            floor = -(-cost * 100 // 90)
            cap = snapshot * 110 // 100 if snapshot is not None else None
            try:
                price = STANDING.guard(draw.randint(0, 4000), known).price
            except RapportError:
                assert cap is not None
                assert cap < floor
                refused += 1
                continue
            steps += 1
            assert price >= floor
            assert cap is None or price <= cap
            forced = floor > published or (cap is not None and cap < published)
            if not forced:
                assert visits >= 25 or price == published
            room_up = published * 105 // 100
            room_down = -(-published * 95 // 100)
            assert price <= max(room_up, floor)
            assert price >= room_down or cap is not None
            if price != published:
                published, visits = price, 0
                recent = [*recent[-6:], price]
    assert steps > sequences
    prove("pricing-guardrail-sequences", sequences=sequences, steps=steps, refused=refused, violations=0)


def test_a_fault_in_the_lattice_does_not_pass_the_checks(scale, prove):
    path = Path(guardrails.__file__)
    found = survived = 0
    names = []
    for name, mutant in mutants(path, scale.pick(small=8, full=1)):
        found += 1
        try:
            checks.check_all(mutant, scale.pick(small=150, full=400))
        except Exception:
            continue
        survived += 1
        names.append(name)
    score = 100 * (found - survived) / found
    sys.stdout.write(f"mutants {found}, killed {found - survived}, score {score:.1f} %\n")
    prove("pricing-guardrail-mutants", mutants=found, killed=found - survived, score=score)
    assert score >= 95, names
