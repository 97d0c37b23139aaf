import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_pricing.domain.demand import Level, fit, shipped_shapes
from rapport_pricing.domain.detector import DetectorSettings, Residual, shifted
from rapport_pricing.domain.outcomes import Count, Fold, News, Outcome
from rapport_pricing.domain.policy import Policy, PolicySettings, Product, Stock, Version
from rapport_pricing.domain.steering import Mode, Steering, due
from rapport_pricing.domain.surfaces import SurfaceBelief, SurfaceSettings, lambert_w, learn
from rapport_pricing.simulator.crowds import crowd_season, gather
from rapport_pricing.simulator.playing import play
from rapport_pricing.simulator.scenarios import build
from rapport_pricing.simulator.seller import Seller
from rapport_pricing.simulator.surface_seller import SurfaceSeller

SHAPES = shipped_shapes()
POLICY = Policy(SHAPES, PolicySettings())
PRODUCT = Product(10_000, 6_000, 6_500, 18_000, SHAPES.prior)


def versions_of(seed: int, count: int = 30) -> list[Version]:
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        cell, shown = draw.randint(15, 45), draw.randint(0, 40)
        price = round(10_000 * SHAPES.ratios[cell])
        made.append(Version(cell, price, 0.2, 0.001, shown=shown, sold=draw.randint(0, shown)))
    return made


def test_the_order_of_versions_and_of_outcomes_is_not_in_the_posterior():
    versions = versions_of(3)
    once = POLICY.believe(PRODUCT, versions)
    again = POLICY.believe(PRODUCT, random.Random(1).sample(versions, len(versions)))
    assert all(np.array_equal(getattr(once, name), getattr(again, name)) for name in ("weights", "levels", "variances"))


NEWS = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from(News)).map(lambda each: Outcome(f"x{each[0]}", each[0] % 3, each[1])),
    max_size=60,
)


@given(NEWS, st.randoms(use_true_random=False))
def test_late_repeated_and_reordered_outcomes_fold_to_the_same_counts(news, draw):
    once, again = Fold(), Fold()
    once.hear(news)
    shuffled = news + draw.sample(news, len(news) // 2)
    draw.shuffle(shuffled)
    again.hear(shuffled)
    assert once == again
    highest = {
        name: max(each.news for each in news if each.exposure_id == name) for name in {x.exposure_id for x in news}
    }
    for version in {each.version for each in news}:
        mine = [news for name, news in highest.items() if int(name[1:]) % 3 == version]
        shown = sum(each in (News.NOT_BOUGHT, News.BOUGHT, News.RETURNED) for each in mine)
        assert once.counts[version] == Count(shown, mine.count(News.BOUGHT), mine.count(News.SEEN))


def test_a_sold_out_visit_is_no_visit_and_a_return_takes_the_sale_back():
    fold = Fold()
    fold.hear([Outcome("a", 1, News.SOLD_OUT), Outcome("b", 1, News.BOUGHT), Outcome("c", 1, News.BOUGHT)])
    fold.hear([Outcome("c", 1, News.RETURNED), Outcome("b", 1, News.SEEN), Outcome("b", 1, News.BOUGHT)])
    assert fold.counts[1] == Count(2, 1)


def test_a_redemption_counts_only_where_the_exposure_was_reported():
    fold = Fold()
    fold.hear([Outcome("a", 1, News.BOUGHT, reported=False), Outcome("b", 1, News.BOUGHT, reported=False)])
    assert fold.counts[1] == Count(0, 0)
    fold.hear([Outcome("a", 1, News.SEEN)])
    assert fold.counts[1] == Count(1, 1)


def test_every_shape_falls_and_the_prior_is_a_distribution():
    assert (np.diff(SHAPES.log_odds, axis=1) <= 1e-12).all()
    assert SHAPES.prior.sum() == pytest.approx(1)
    assert (SHAPES.prior > 0).all()
    assert SHAPES.ratios[SHAPES.anchor] == pytest.approx(1)
    assert (SHAPES.ratios[2:] / SHAPES.ratios[:-2] < 1.05).all()


@pytest.mark.parametrize("seed", range(3))
def test_what_is_believed_comes_near_the_truth_where_prices_were_shown(seed):
    draw = np.random.default_rng(seed)
    truth = 1 / (1 + np.exp(3.0 * (SHAPES.ratios - 1) + 0.5))
    shown = np.zeros(len(SHAPES.ratios), dtype=np.int64)
    shown[10:50:4] = 800
    found = fit(SHAPES, SHAPES.prior, Level(), shown, draw.binomial(shown, truth))
    mean = found.weights @ found.chances(SHAPES)
    assert np.abs(mean - truth)[10:50].max() < 0.04


def test_two_humps_are_believed_where_they_are_seen():
    truth = 0.55 / (1 + np.exp((SHAPES.ratios - 0.9) / 0.04)) + 0.45 / (1 + np.exp((SHAPES.ratios - 1.5) / 0.06))
    shown = np.full(len(SHAPES.ratios), 200, dtype=np.int64)
    found = fit(SHAPES, SHAPES.prior, Level(), shown, np.round(shown * truth).astype(np.int64))
    assert np.argmax(found.weights) >= 28 + 24, "the two-humped shapes come last"


def test_a_surprise_beyond_chance_is_a_shift_and_one_within_is_not():
    settings = DetectorSettings(window=250, threshold=4.0)
    usual = [Residual(25, 5, 0.2, 0.0)] * 10
    assert not shifted(usual, settings)
    assert shifted([*usual, *[Residual(25, 9, 0.2, 0.0)] * 10], settings)
    assert shifted([Residual(250, 76, 0.2, 0.0)], settings)
    assert not shifted([Residual(250, 75, 0.2, 0.0)], settings)
    assert not shifted([Residual(249, 249, 0.2, 0.0)], settings)
    assert not shifted([Residual(250, 76, 0.2, 0.01)], settings), "a belief that was unsure is not surprised"
    assert not shifted([Residual(25, 10, 0.2, 0.01)] * 10, settings), "nor are ten versions decided from the same news"


def test_a_version_differs_by_a_bounded_step_and_never_leaves_its_bounds():
    product = replace(PRODUCT, lowest=9_000, highest=11_000)
    versions = [POLICY.first(product)]
    for turn in range(60):
        versions[-1] = replace(versions[-1], shown=25, sold=turn % 7)
        decision = POLICY.decide(product, versions)
        assert abs(decision.version.price / versions[-1].price - 1) < 0.05
        versions.append(decision.version)
    assert all(9_000 <= each.price <= 11_000 for each in versions[10:])


def test_exploration_keeps_to_its_share_and_none_earns_only():
    for share, most in ((0.5, 0.55), (0.0, 0.0)):
        policy = Policy(SHAPES, PolicySettings(explore_share=share))
        versions = [policy.first(PRODUCT)]
        for turn in range(50):
            versions[-1] = replace(versions[-1], shown=25, sold=3 + turn % 5)
            versions.append(policy.decide(PRODUCT, versions).version)
        assert sum(each.explores for each in versions[1:]) <= most * 50 + 1


def test_scarce_stock_raises_the_price_to_what_lasts_and_plenty_does_not():
    versions = [replace(POLICY.first(PRODUCT), shown=400, sold=120)]
    plenty = POLICY.decide(PRODUCT, versions, Stock(10_000, 1000))
    scarce = POLICY.decide(PRODUCT, versions, Stock(20, 1000))
    assert not plenty.run_out
    assert plenty.target == POLICY.decide(PRODUCT, versions).target
    assert scarce.run_out
    assert scarce.target > plenty.settled


@pytest.mark.parametrize(
    ("steering", "wish"),
    [
        (Steering(), 110),
        (Steering(incident=True), 105),
        (Steering(Mode.PAUSED), 100),
        (Steering(Mode.PINNED, 77), 77),
    ],
)
def test_a_product_is_learned_paused_or_pinned(steering, wish):
    assert steering.wish(published=100, learned=110, settled=105) == wish
    assert due(PolicySettings(hold=25), steering, 25) == (steering.mode is not Mode.PAUSED)
    assert not due(PolicySettings(hold=25), steering, 24)


@given(st.floats(0, 1e250))
def test_lambert_w_is_the_inverse_of_w_times_its_exponential(value):
    w = lambert_w(value)
    assert w * np.exp(w) == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_a_surface_learns_how_circumstances_move_demand():
    draw = np.random.default_rng(5)
    covariates = np.clip(draw.standard_normal((4000, 2)), -2, 2)
    ratios = draw.uniform(0.7, 1.4, 4000)
    odds = -1 + 3 * (1 - ratios) + covariates @ [0.5, -0.3]
    bought = (draw.random(4000) < 1 / (1 + np.exp(-odds))).astype(float)
    belief = learn(SurfaceBelief.before(2), ratios, covariates, bought)
    assert belief.mean[:4] == pytest.approx([-1, 3, 0.5, -0.3], abs=0.35)


def test_no_circumstance_sees_its_price_jump_from_one_surface_to_the_next():
    world = build(5, 1, 1000)
    seller = SurfaceSeller(world, 1)
    play(seller, world)
    settings = SurfaceSettings()
    circumstances = np.clip(np.random.default_rng(1).standard_normal((60, 3)), -settings.reach, settings.reach)
    for before, after in zip(seller.surfaces, seller.surfaces[1:], strict=False):
        for each in circumstances:
            assert abs(after.ratio(each) / before.ratio(each) - 1) < 0.051


@pytest.mark.parametrize("scenario", [1, 3, 7])
def test_a_season_earns_more_than_the_price_the_seller_started_from(scenario):
    world = build(scenario, 4, 2000)
    season = play(Seller(world), world)
    start = world.phases[0].demand.chance(world.incumbent) * (world.incumbent - world.cost) / world.phases[0].earns
    assert season.share > start + 0.02
    assert season.changes <= 40
    assert season.largest_step <= 0.05


def test_a_season_replays_to_the_same_versions():
    world = build(3, 2, 600)
    sellers = [Seller(world), Seller(world)]
    for each in sellers:
        play(each, world)
    assert sellers[0].versions == sellers[1].versions
    assert len(sellers[0].versions) == 24


def test_a_shift_of_demand_is_noticed_and_the_price_of_before_left_behind():
    world = build(6, 5, 3000)  # the best price falls by 28 %, and next to nobody pays the one of before
    seller = Seller(world)
    season = play(seller, world)
    assert any(1500 <= at <= 2300 for at in seller.shifts)
    assert 0 <= season.recovered <= 1000


def test_in_a_crowd_personal_prices_only_lower_and_without_consent_there_are_none():
    nobody = crowd_season(gather(3, consent=0.0, visits=600))
    half = crowd_season(gather(3, consent=0.5, visits=600))
    assert (nobody.raised, half.raised) == (0, 0)
    assert nobody.personal == nobody.share
    assert nobody.personal < half.personal
    assert half.share < half.personal
    assert crowd_season(gather(3, consent=0.5, visits=600)) == half
