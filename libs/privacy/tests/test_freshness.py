"""Freshness: only a head read that began recently enough, and is caught up with, makes a replica fresh."""

import pytest
from rapport_privacy.freshness import NEVER, Freshness


def test_a_replica_is_fresh_until_the_bound_after_the_read_began() -> None:
    freshness = Freshness(bound_s=2, continuation_s=900)
    freshness.head_read(began_at=100, head=7, applied=7, now=101)
    assert (freshness.confirmed_at, freshness.fresh_until, freshness.continues_until) == (100, 102, 1000)


def test_a_head_beyond_what_is_applied_proves_nothing_until_it_is_reached() -> None:
    freshness = Freshness()
    freshness.head_read(began_at=100, head=7, applied=5, now=100)
    freshness.applied(6, now=100.5)
    assert freshness.fresh_until == NEVER
    freshness.applied(7, now=101)
    assert freshness.fresh_until == 102


def test_catching_up_confirms_the_newest_head_that_is_reached() -> None:
    freshness = Freshness()
    for began_at, head in [(100.0, 5), (100.25, 6), (100.5, 9)]:
        freshness.head_read(began_at, head, applied=4, now=began_at)
    freshness.applied(8, now=100.6)
    assert freshness.confirmed_at == 100.25


def test_answers_that_overtake_one_another_do_not_age_the_replica() -> None:
    freshness = Freshness()
    freshness.head_read(began_at=101, head=5, applied=5, now=101.1)
    freshness.head_read(began_at=100, head=5, applied=5, now=101.2)
    assert freshness.confirmed_at == 101


@pytest.mark.parametrize("late_by", [0, 0.001, 60])
def test_a_proof_that_comes_after_its_bound_prolongs_nothing(late_by: float) -> None:
    freshness = Freshness(bound_s=2)
    freshness.head_read(began_at=100, head=7, applied=7, now=102 + late_by)
    freshness.head_read(began_at=100, head=7, applied=5, now=100)
    freshness.applied(7, now=102 + late_by)
    assert (freshness.confirmed_at, freshness.fresh_until, freshness.continues_until) == (NEVER, NEVER, NEVER)


def test_a_lapse_ends_freshness_but_not_what_may_continue() -> None:
    freshness = Freshness(bound_s=2, continuation_s=900)
    freshness.head_read(began_at=100, head=7, applied=7, now=100)
    freshness.head_read(began_at=100.5, head=8, applied=7, now=100.5)
    freshness.lapse()
    freshness.applied(8, now=100.6)
    assert (freshness.fresh_until, freshness.continues_until) == (NEVER, 1000)


def test_a_reset_forgets_everything() -> None:
    freshness = Freshness()
    freshness.head_read(began_at=100, head=7, applied=7, now=100)
    freshness.reset()
    assert (freshness.confirmed_at, freshness.fresh_until, freshness.continues_until) == (NEVER, NEVER, NEVER)


@pytest.mark.parametrize(("bound_s", "continuation_s"), [(0, 900), (-1, 900), (2, 1)])
def test_bounds_that_make_no_sense_are_refused(bound_s: float, continuation_s: float) -> None:
    with pytest.raises(ValueError, match="bound"):
        Freshness(bound_s=bound_s, continuation_s=continuation_s)
