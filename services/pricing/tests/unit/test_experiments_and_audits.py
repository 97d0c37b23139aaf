import math

import numpy as np
import pytest
from rapport_chassis.errors import RapportError
from rapport_pricing.domain.elasticity import Variation, censored_poisson, estimate
from rapport_pricing.domain.experiments import Arm, Experiment, Logged, Unit, allocate, assign, lift, replay_logged
from rapport_pricing.domain.fairness import Quoted, by_group, drop_feature, wilson

HALVES = Experiment("exp_1", Unit.ACCOUNT, {"control": 5000, "treated": 5000})


def arm(values) -> Arm:
    return Arm(len(values), float(np.sum(values)), float(np.sum(np.square(values))))


def test_an_account_keeps_its_arm_and_arms_get_their_shares():
    split = Experiment("exp_2", Unit.ACCOUNT, {"a": 1000, "b": 9000})
    arms = [assign(split, f"prf_{number}") for number in range(4000)]
    assert arms == [assign(split, f"prf_{number}", at_us=9) for number in range(4000)]
    share = sum(each.arm == "a" for each in arms) / 4000
    assert share == pytest.approx(0.1, abs=0.02)
    assert {each.arm: each.propensity for each in arms} == {"a": 0.1, "b": 0.9}
    other = Experiment("exp_3", Unit.ACCOUNT, {"a": 1000, "b": 9000})
    assert [assign(other, f"prf_{number}") for number in range(200)] != arms[:200]


def test_a_switchback_changes_with_time_and_not_within_a_stretch():
    market = Experiment("exp_1", Unit.SWITCHBACK, {"a": 5000, "b": 5000}, period_us=100)
    assert {assign(market, "DE", at).arm for at in range(0, 10_000, 100)} == {"a", "b"}
    assert len({assign(market, "DE", at).arm for at in range(300, 400)}) == 1


@pytest.mark.parametrize(
    ("unit", "shares", "period"),
    [
        (Unit.ACCOUNT, {"a": 9999}, 0),
        (Unit.ACCOUNT, {"a": 10_001, "b": -1}, 0),
        (Unit.ACCOUNT, {"a": 10_000}, 5),
        (Unit.SWITCHBACK, {"a": 10_000}, 0),
    ],
)
def test_an_experiment_that_means_nothing_is_refused(unit, shares, period):
    with pytest.raises(RapportError, match="EXPERIMENT_INVALID"):
        Experiment("e", unit, shares, period)


def test_looking_at_every_step_finds_no_effect_where_there_is_none(scale):
    runs, wrong = scale.pick(small=100, full=2000), 0
    draw = np.random.default_rng(4)
    for _ in range(runs):
        one, other = draw.standard_normal((2, 1500))
        wrong += any(
            (found := lift(arm(one[:size]), arm(other[:size]))) is not None and found.decided
            for size in range(50, 1501, 50)
        )
    assert wrong / runs <= 0.05


def test_an_effect_is_found_and_lies_in_its_interval():
    draw = np.random.default_rng(4)
    one, other = draw.standard_normal((2, 5000))
    found = lift(arm(one), arm(other + 0.2))
    assert found is not None
    assert found.decided
    assert found.low < 0.2 < found.high
    assert lift(arm(one[:19]), arm(other)) is None


def test_a_bandit_gives_more_to_what_earns_more_and_something_to_every_arm():
    draw = np.random.default_rng(4)
    worse, better = arm(draw.normal(10, 4, 200)), arm(draw.normal(12, 4, 200))
    shares = allocate(HALVES, {"control": worse, "treated": better}, turn=3)
    assert shares == allocate(HALVES, {"control": worse, "treated": better}, turn=3)
    assert shares["treated"] > 9000
    assert sum(shares.values()) == 10_000
    assert shares["control"] >= 500
    assert allocate(HALVES, {"control": worse, "treated": arm([1.0])}, turn=3) == HALVES.shares


def test_another_rule_is_judged_from_logged_propensities():
    draw = np.random.default_rng(1)
    log = []
    for _ in range(20_000):
        high = bool(draw.random() < 0.25)
        log.append(Logged(0.25 if high else 0.75, float(high), float(draw.random() < (0.3 if high else 0.6))))
    judged = replay_logged(log)
    assert judged is not None
    assert judged.value == pytest.approx(0.3, abs=0.02)
    assert judged.largest_weight == 4
    assert replay_logged([Logged(0.5, 0.0, 1.0)]) is None


def test_groups_are_compared_with_intervals_and_small_ones_are_left_out():
    quotes = [Quoted("a", 1000, 900, True)] * 60 + [Quoted("b", 1000, 1000, False)] * 60 + [Quoted("c", 1, 1, True)] * 5
    found = by_group(quotes)
    assert set(found) == {"a", "b"}
    assert found["a"].price_ratio.value < 1 < found["b"].price_ratio.value
    assert (found["a"].discount_rate.value, found["b"].discount_rate.value) == (1, 0)
    assert found["b"].acceptance.low == 0
    assert found["b"].acceptance.high < 0.1
    assert (round(wilson(5, 10).low, 3), round(wilson(5, 10).high, 3)) == (0.237, 0.763)


def test_a_feature_that_carries_a_gap_is_shown_by_neutralising_it():
    customers = [("a", {"postcode": 1.0, "recency": 3.0})] * 5 + [("b", {"postcode": 0.0, "recency": 3.0})] * 5

    def price(features):
        return 1000 + round(100 * features["postcode"]) - round(features["recency"])

    found = drop_feature(customers, "postcode", 0.0, price)
    assert (found.moved, found.mean_change, found.gap_with, found.gap_without) == (0.5, -50, 100, 0)
    assert drop_feature(customers, "recency", 0.0, price).gap_without == 100


def panel(seed: int, spread: float):
    draw = np.random.default_rng(seed)
    products, weeks = np.arange(6000) % 20, np.arange(6000) // 20 % 100
    price = 0.3 * products + spread * draw.standard_normal(6000)
    quantity = 4 + 2.0 * products - 2.5 * price + 0.1 * weeks + 0.3 * draw.standard_normal(6000)
    return quantity, price, products, weeks


def test_elasticity_is_found_within_products_and_missed_when_pooled():
    quantity, price, products, weeks = panel(1, 0.2)
    within = estimate(
        quantity, price, fixed=[products, weeks], clusters=products, variation=Variation.WITHIN_PRODUCT_STORE_TIME
    )
    assert within.low < -2.5 < within.high
    assert within.high - within.low < 0.3
    pooled = estimate(quantity, price, fixed=[], clusters=products, variation=Variation.POOLED)
    assert pooled.value > 0, "dearer products sell more: the trap"


def test_prices_that_hardly_vary_say_nothing_and_are_refused():
    quantity, price, products, weeks = panel(1, 0.01)
    with pytest.raises(RapportError) as caught:
        estimate(quantity, price, fixed=[products, weeks], clusters=products, variation=Variation.WITHIN_PRODUCT)
    assert caught.value.reason.name == "PRICE_VARIES_TOO_LITTLE"
    assert float(caught.value.metadata["spread"]) < 0.02


def test_stock_that_ran_out_hides_demand_unless_it_is_read_as_at_least():
    draw = np.random.default_rng(3)
    log_price = draw.uniform(-0.5, 0.5, 3000)
    demand = draw.poisson(np.exp(2.0 - 2.5 * log_price))
    stock = draw.integers(6, 14, 3000)
    sold, out = np.minimum(demand, stock), demand >= stock
    assert 0.2 < out.mean() < 0.6
    naive = censored_poisson(sold, log_price, np.zeros(3000, dtype=bool))[1]
    level, aware = censored_poisson(sold, log_price, out)
    assert naive > -2.0
    assert aware == pytest.approx(-2.5, abs=0.12)
    assert math.exp(level) == pytest.approx(math.exp(2.0), rel=0.05)
