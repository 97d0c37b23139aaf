"""Segments, tiers, levels of risk and what helps: rules that hold for everybody."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapport_churn.domain.features import DEFAULT_FEATURES, Group, Summary
from rapport_churn.domain.interventions import INTERVENTIONS, Means, suggest
from rapport_churn.domain.labels import Horizon, PopulationRule
from rapport_churn.domain.risk import RiskLevel, RiskPolicy
from rapport_churn.domain.segments import Fifths, Rfm, Segment, Tier, segment, tier

POLICY = RiskPolicy()
HORIZON, RULE = Horizon(90, 180), PopulationRule(365)
chances = st.floats(0, 1)
amounts = st.lists(st.integers(0, 50), min_size=1, max_size=60)
ORDER_OF_TIERS = [Tier.LOYAL, Tier.ACTIVE, Tier.NEW, Tier.SLIPPING, Tier.LAPSED]


@given(amounts, st.integers(-5, 60), st.integers(-5, 60))
@settings(max_examples=100, deadline=None)
def test_more_never_ranks_lower_and_longer_silence_never_higher(values, one, other):
    fifths = Fifths.fit(values, values, values)
    low, high = (fifths.rank(each, each, each) for each in sorted((one, other)))
    assert 1 <= low.frequency <= high.frequency <= 5
    assert 1 <= low.money <= high.money <= 5
    assert 5 >= low.recency >= high.recency >= 1


def test_fifths_hold_a_fifth_each_where_nobody_is_equal():
    people = random.Random(3).sample(range(1000), 1000)
    fifths = Fifths.fit(people, people, people)
    ranks = [fifths.rank(each, each, each) for each in people]
    for part in range(3):
        assert [sum(rank[part] == fifth for rank in ranks) for fifth in range(1, 6)] == [200] * 5


def test_every_rank_has_a_segment_and_every_segment_a_rank():
    found = {segment(Rfm(r, f, m)) for r in range(1, 6) for f in range(1, 6) for m in range(1, 6)}
    assert found == set(Segment)
    assert segment(Rfm(5, 5, 5)) is Segment.CHAMPION
    assert segment(Rfm(1, 5, 5)) is Segment.CANNOT_LOSE
    assert segment(Rfm(1, 1, 1)) is Segment.LOST


@given(st.integers(0, 20), st.integers(0, 900), st.integers(0, 900), st.integers(0, 900))
@settings(max_examples=100, deadline=None)
def test_silence_only_ever_lowers_a_tier(frequency, recency, silent, more):
    def after(days):
        return tier(Summary(frequency, recency, recency + days, 1.0), HORIZON, RULE)

    assert ORDER_OF_TIERS.index(after(silent)) <= ORDER_OF_TIERS.index(after(silent + more))
    assert (after(silent) is Tier.LAPSED) == (not RULE.admits(Summary(frequency, recency, recency + silent, 1.0)))


def test_tiers_of_typical_customers():
    assert tier(None, HORIZON, RULE) is Tier.PROSPECT
    assert tier(Summary(0, 0, 90, 0.0), HORIZON, RULE) is Tier.NEW
    assert tier(Summary(1, 30, 90, 0.0), HORIZON, RULE) is Tier.ACTIVE
    assert tier(Summary(5, 300, 310, 0.0), HORIZON, RULE) is Tier.LOYAL
    assert tier(Summary(5, 300, 391, 0.0), HORIZON, RULE) is Tier.SLIPPING
    assert tier(Summary(5, 300, 666, 0.0), HORIZON, RULE) is Tier.LAPSED


@given(chances, chances, st.sampled_from(RiskLevel))
@settings(max_examples=100, deadline=None)
def test_a_greater_chance_never_means_a_lower_level(one, other, before):
    low, high = sorted((one, other))
    assert POLICY.level(low, before) <= POLICY.level(high, before)
    assert POLICY.level(low) <= POLICY.level(low, before)


@given(chances, st.floats(-0.024, 0.024), st.sampled_from(RiskLevel), st.integers(2, 20))
@settings(max_examples=100, deadline=None)
def test_a_chance_that_trembles_by_less_than_the_margin_moves_the_level_once_at_most(chance, tremble, before, times):
    level, moves = before, 0
    for index in range(times):
        following = POLICY.level(min(max(chance + (tremble if index % 2 else 0), 0), 1), level)
        moves += following != level and index > 1
        level = following
    assert moves == 0


def test_a_level_rises_at_once_and_falls_with_a_margin():
    assert POLICY.level(0.76) is RiskLevel.HIGH
    assert POLICY.level(0.71, RiskLevel.HIGH) is RiskLevel.HIGH
    assert POLICY.level(0.69, RiskLevel.HIGH) is RiskLevel.ELEVATED
    assert POLICY.level(0.54, RiskLevel.HIGH) is RiskLevel.NONE
    assert POLICY.level(0.95, RiskLevel.ELEVATED) is RiskLevel.CRITICAL


def test_a_score_is_told_first_and_when_it_has_moved():
    assert POLICY.is_material(0.5, None)
    assert POLICY.is_material(0.5, 0.6)
    assert not POLICY.is_material(0.5, 0.52)


@pytest.mark.parametrize("wrong", [{"high": 0.5}, {"critical": 1.1}, {"margin": 0.7}, {"material": 0.0}])
def test_a_policy_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=r"levels|margin"):
        RiskPolicy(**wrong)


def test_every_group_says_what_helps_and_every_feature_has_a_group():
    assert set(INTERVENTIONS) == set(Group)
    assert {each.group for each in DEFAULT_FEATURES} == set(Group)
    assert [group for group, found in INTERVENTIONS.items() if not found] == [Group.SEASON]


reasons = st.dictionaries(st.sampled_from([*Group, "of_another_release"]), st.floats(-3, 3))


@given(reasons)
@settings(max_examples=150, deadline=None)
def test_what_is_suggested_helps_against_a_reason_and_is_nothing_that_drives_the_customer_away(found):
    code = suggest(found)
    driving = {group for group, added in found.items() if added > 0}
    helping = {each.code: each.means for group in driving for each in INTERVENTIONS.get(group, ())}
    if code:
        assert code in helping
        assert not (helping[code] is Means.OFFER and Group.OFFER_FATIGUE in driving)
        assert not (helping[code] is Means.MESSAGE and Group.IGNORES_MESSAGES in driving)
    else:
        assert driving <= {Group.SEASON, "of_another_release"} or all(
            means in {Means.OFFER, Means.MESSAGE} for means in helping.values()
        )


def test_the_strongest_reason_that_can_be_helped_decides():
    assert suggest({"season": 2.0, "service_trouble": 1.0, "less_active": 0.5}) == "service_recovery"
    assert suggest({"less_active": 2.0}) == "win_back_offer"
    assert suggest({"less_active": 2.0, "offer_fatigue": 0.1}) == "reminder"
    assert suggest({"less_active": -1.0}) == ""
