"""What is under way is not learned a second time: late news costs little, and what it will leave open is explored."""

import numpy as np
from rapport_pricing.domain.anticipating import left_open
from rapport_pricing.domain.demand import Level, fit, shipped_shapes
from rapport_pricing.domain.policy import Policy, PolicySettings, Product, Version
from rapport_pricing.simulator.playing import play
from rapport_pricing.simulator.scenarios import build
from rapport_pricing.simulator.seasons import DistantSeller, Post
from rapport_pricing.simulator.seller import Seller

SHAPES = shipped_shapes()
ANCHOR, FAR = SHAPES.anchor, SHAPES.anchor + 12
NOBODY = np.zeros(len(SHAPES.ratios), dtype=np.int64)
SHOWN = NOBODY.copy()
SHOWN[ANCHOR] = 200
BELIEF = fit(SHAPES, SHAPES.prior, Level(), SHOWN, SHOWN // 4)
EARNS = BELIEF.chances(SHAPES) * (SHAPES.ratios - 0.6)


def left(**pending: int) -> tuple[float, np.ndarray]:
    """What visits leave open: those at the anchor and those a quarter above it."""
    visits = NOBODY.copy()
    visits[[ANCHOR, FAR]] = pending.get("anchor", 0), pending.get("far", 0)
    return left_open(SHAPES, BELIEF, BELIEF.weights, EARNS, visits)


def test_the_more_is_under_way_the_less_is_left_open():
    expected, chances = BELIEF.weights @ EARNS, BELIEF.chances(SHAPES)
    forgone = BELIEF.weights @ EARNS.max(axis=1) - expected.max()
    variance = BELIEF.weights @ (chances - BELIEF.weights @ chances) ** 2
    for visits, share in ((1, 0.99), (100, 0.5), (5000, 0.25)):
        still = left(far=visits)
        assert 0 < still[0] < share * forgone
        assert 0 < still[1][FAR] < share * variance[FAR]


def test_visits_at_the_price_that_was_seen_tell_nothing_of_how_demand_falls():
    open_before, seen_again, elsewhere = left(far=1)[1], left(anchor=2000)[1], left(far=2000)[1]
    assert seen_again[FAR] > 0.99 * open_before[FAR]
    assert elsewhere[FAR] < 0.25 * open_before[FAR]


def test_a_price_is_not_tried_again_while_what_it_showed_is_under_way():
    policy = Policy(SHAPES, PolicySettings())
    product = Product(10_000, 6_000, 6_500, 18_000, SHAPES.prior)
    first = Version(ANCHOR, 10_000, 0.25, 0.0, shown=200, sold=50)
    expected = policy.contributions(product, [first])
    tried = policy.decide(product, [first]).target

    def forgone(pending: int) -> float:
        under_way = Version(policy.cell_of(product, tried), tried, 0.2, 0.0, explores=True, pending=pending)
        target = policy.decide(product, [first, under_way]).target
        return expected.max() - expected[policy.cell_of(product, target)]

    assert forgone(0) == forgone(1) > 0
    assert forgone(2000) < 0.6 * forgone(0)


def test_a_season_of_late_repeated_and_reordered_news_earns_nearly_as_much():
    world = build(3, 106, 3000)
    prompt, late = Seller(world), DistantSeller(world, 1, Post(600))
    cost = play(prompt, world).share - play(late, world).share
    assert cost < 0.02
    assert late.shifts == [], "what was decided long ago is no surprise"
