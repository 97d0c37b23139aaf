"""What was believed of one product helps with another, and with the same one after a shift."""

import numpy as np
import pytest
from rapport_pricing.domain.demand import Level, fit, shipped_shapes
from rapport_pricing.domain.teaching import Lesson, after_shift, lesson, pooled_level, pooled_prior

SHAPES = shipped_shapes()


def believed(slope: float, free: float):
    """What is believed of a logit curve once it was seen at many prices."""
    truth = 1 / (1 + np.exp(slope * SHAPES.ratios - free))
    shown = np.full(len(SHAPES.ratios), 4000, dtype=np.int64)
    return fit(SHAPES, SHAPES.prior, Level(), shown, np.round(shown * truth).astype(np.int64))


def steep(weights) -> float:
    mine = weights[: len(SHAPES.slopes)]
    return float(np.exp(mine @ np.log(SHAPES.slopes) / mine.sum()))


def test_a_prior_learned_from_others_rules_nothing_out():
    sure = np.zeros(len(SHAPES.prior))
    sure[4] = 1
    learned = pooled_prior(SHAPES, [Lesson(sure, -1.0, 0.5)] * 2, 0.5)
    assert learned.sum() == pytest.approx(1)
    assert learned[4] > 0.7
    assert (learned > 0).all()
    assert pooled_prior(SHAPES, [], 0.5) is SHAPES.prior


def test_slopes_are_alike_by_cost_whatever_price_a_product_began_at():
    taught = lesson(SHAPES, believed(3.0, 2.0), 0.6)
    same, dear, free = (pooled_prior(SHAPES, [taught], share, own=0) for share in (0.6, 0.3, 0.0))
    assert steep(same) == pytest.approx(3.0, rel=0.05)
    assert steep(dear) == pytest.approx(6.0, rel=0.05), "the cost is a smaller share of its anchor"
    assert np.array_equal(free, same), "nothing is known by cost"
    assert dear.sum() == pytest.approx(1)


def test_a_lesson_beyond_the_grid_counts_at_its_end():
    taught = lesson(SHAPES, believed(9.0, 6.0), 0.9)
    far = pooled_prior(SHAPES, [taught], 0.05, own=0)
    assert far.sum() == pytest.approx(1)
    assert far[len(SHAPES.slopes) - 1] > 0.7


def test_levels_are_alike_at_no_price_and_one_product_alone_says_nothing_of_how_much_they_differ():
    assert lesson(SHAPES, believed(3.0, 2.0), 0.6).free == pytest.approx(2.0, abs=0.15)
    lessons = [Lesson(SHAPES.prior, free, 0.5) for free in (-1.0, -1.2)]
    found = pooled_level(lessons)
    assert found.mean == pytest.approx(-1.1)
    assert (found.deviation, found.free) == (0.3, True)
    assert pooled_level(lessons[:1]) == Level()


def test_after_a_shift_everybody_values_the_product_at_another_scale():
    prior, level = after_shift(SHAPES, believed(3.0, 2.0))
    assert prior.sum() == pytest.approx(1)
    assert (prior > 0).all()
    assert level.free
    assert level.mean == pytest.approx(2.0, abs=0.15)
    shown = np.zeros(len(SHAPES.ratios), dtype=np.int64)
    shown[SHAPES.anchor] = 200
    nobody = fit(SHAPES, prior, level, shown, np.zeros_like(shown))
    assert steep(nobody.weights) > 4.5, "who would take it for nothing and pays no price values it less"
