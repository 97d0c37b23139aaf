"""What may be declared, and what a set of features tells of itself."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapport_churn.domain.facts import Fact, FactKind, supersedes
from rapport_churn.domain.features import DEFAULT_FEATURES, ORDERS, Feature, FeatureSet, Group
from rapport_churn.domain.terms import Aggregate, Measure, Month, Ratio, Source, Window, measures_of
from rapport_churn.domain.vectors import Plan

COUNT = Measure(ORDERS, Aggregate.COUNT)


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Window(0),
        lambda: Window(7, skip=-1),
        lambda: Window(7, after=ORDERS),
        lambda: Window(skip=3, after=ORDERS),
        lambda: Measure(ORDERS, Aggregate.AGE, Window(7)),
        lambda: Measure(ORDERS, Aggregate.DAYS, Window(7, skip=7)),
        lambda: Measure(ORDERS, Aggregate.DAYS, Window(after=ORDERS)),
        lambda: FeatureSet((Feature("a", Group.SEASON, COUNT), Feature("a", Group.SEASON, Month()))),
    ],
)
def test_what_makes_no_sense_cannot_be_declared(declare):
    with pytest.raises(ValueError, match=r"window|time|days|name"):
        declare()


def test_the_digest_tells_any_two_sets_apart():
    terms = (
        COUNT,
        Measure(ORDERS, Aggregate.COUNT, Window(7)),
        Measure(ORDERS, Aggregate.COUNT, Window(7, skip=1)),
        Measure(Source((FactKind.ORDER,), channels=(1,)), Aggregate.COUNT),
        Measure(Source((FactKind.ORDER,), at_least=1), Aggregate.COUNT),
        Measure(Source((FactKind.ORDER,), at_most=1), Aggregate.COUNT),
        Measure(ORDERS, Aggregate.COUNT, Window(after=ORDERS)),
        Ratio(COUNT, COUNT),
        Ratio(COUNT, COUNT, plus=1),
    )
    sets = [
        DEFAULT_FEATURES,
        FeatureSet(DEFAULT_FEATURES.features[::-1]),
        FeatureSet((Feature("a", Group.RETURNS, COUNT),)),
        FeatureSet((Feature("b", Group.SEASON, COUNT),)),
        FeatureSet((Feature("a", Group.SEASON, COUNT, categorical=True),)),
        *(FeatureSet((Feature("a", Group.SEASON, term),)) for term in terms),
    ]
    digests = [each.digest for each in sets]
    assert len(set(digests)) == len(digests)
    assert FeatureSet(DEFAULT_FEATURES.features).digest == DEFAULT_FEATURES.digest


def test_every_measure_of_a_set_is_read_once():
    measures = [measure for each in DEFAULT_FEATURES for measure in measures_of(each.term)]
    assert len(DEFAULT_FEATURES.measures) == len(set(measures)) < len(measures)


def test_nothing_is_known_of_one_without_facts():
    vector = Plan(DEFAULT_FEATURES).vector({}, 0)
    known = {each.name for each, value in zip(DEFAULT_FEATURES, vector, strict=True) if value == value}
    assert {"orders_90", "spend_ever", "orders_trend_90", "month"} <= known
    assert known.isdisjoint({"days_since_order", "basket_90", "gap_mean", "overdue", "last_channel", "tenure"})


@given(st.integers(1, 5), st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_the_latest_issue_says_whose_a_fact_is(first, second):
    one, other = (Fact("evt_1", f"prf_{version}", version, FactKind.ORDER, 0, 0) for version in (first, second))
    assert supersedes(one, other) == (first > second)
    assert not (supersedes(one, other) and supersedes(other, one))
