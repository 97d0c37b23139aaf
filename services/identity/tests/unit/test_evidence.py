"""Bits that sum to the score, and the smallest change that flips a verdict, against looking at every change."""

from dataclasses import replace
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapport_identity.domain.comparisons import MISSING, Comparison, Level, codes
from rapport_identity.domain.conditions import Otherwise
from rapport_identity.domain.defaults import default_matcher
from rapport_identity.domain.evidence import Verdict, counterfactual, evidence
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.records import Record, RecordKey

drawn_seeds = st.integers(0, 10_000)


def some(matcher, count):
    """The matcher with so many of its comparisons, so that all changes can be looked at."""
    named = {each.name: each for each in matcher.comparisons}
    order = ["generation", "surname", "birth_date", "email", "given_name"]
    return replace(matcher, comparisons=tuple(named[name] for name in order[:count]), prior=-12.0)


@given(seed=drawn_seeds)
def test_bits_sum_to_the_score_that_decides(people, seed):
    matcher = default_matcher()
    prepared = [matcher.prepare(record) for record in people(8, seed)]
    for one, other in combinations(prepared, 2):
        found = evidence(matcher, one, other)
        assert found.prior + sum(each.bits for each in found.weights) == pytest.approx(found.score, abs=1e-9)
        score = matcher.score(one, other)
        assert found.conflicts if score == float("-inf") else found.score == pytest.approx(score, abs=1e-9)
        assert found == evidence(matcher, other, one)
        for each in found.weights:
            assert each.level != MISSING or (each.bits, each.frequency_bits) == (0.0, 0.0)


def test_what_a_value_adds_by_being_rare_is_told_apart():
    matcher = default_matcher()
    smith, rare = (
        evidence(matcher, *(matcher.prepare(Record(RecordKey("crm", number), surname=name)) for number in "12"))
        for name in ("smith", "Xylophonova")
    )
    (common,) = (each for each in smith.weights if each.comparison == "surname")
    (unusual,) = (each for each in rare.weights if each.comparison == "surname")
    assert (common.level, unusual.level) == ("same", "same")
    assert common.frequency_bits < unusual.frequency_bits
    assert common.bits - common.frequency_bits == pytest.approx(unusual.bits - unusual.frequency_bits)


def outcomes_of(matcher, found):
    """Every way in which the comparisons could have come out, with what it costs and what follows."""
    now = [each.level for each in found.outcomes]
    start = matcher.total(sum(o.person for o in found.outcomes), sum(o.home for o in found.outcomes))
    for levels in product(*(range(len(comparison.levels)) for comparison in matcher.comparisons)):
        then = [found.outcomes[at] if level == now[at] else matcher.usual(at, level) for at, level in enumerate(levels)]
        score = matcher.total(sum(each.person for each in then), sum(each.home for each in then))
        veto = any(matcher.comparisons[at].levels[level].veto for at, level in enumerate(levels))
        changed = sum(level != was for level, was in zip(levels, now, strict=True))
        yield changed, abs(score - start), Verdict.TOGETHER if score >= matcher.join and not veto else Verdict.APART


@settings(max_examples=25)
@given(seed=drawn_seeds, count=st.integers(1, 4), lift=st.sampled_from([-8.0, 0.0, 8.0]))
def test_no_smaller_change_flips_the_verdict(people, seed, count, lift):
    matcher = some(default_matcher(), count)
    matcher = replace(matcher, prior=matcher.prior + lift)
    one, other = (matcher.prepare(record) for record in people(2, seed))
    found = evidence(matcher, one, other)
    flipped = counterfactual(matcher, found)
    wanted = Verdict.APART if found.verdict(matcher.join) is Verdict.TOGETHER else Verdict.TOGETHER
    possible = [(changed, cost) for changed, cost, verdict in outcomes_of(matcher, found) if verdict is wanted]
    assert flipped.verdict is wanted
    if not possible:
        assert flipped.changes == ()
        return
    changed, cost = min(possible)
    assert len(flipped.changes) == changed
    assert abs(sum(change.bits for change in flipped.changes)) == pytest.approx(cost, abs=1e-9)
    assert flipped.score == pytest.approx(found.score + sum(change.bits for change in flipped.changes), abs=1e-9)


def test_a_conflict_must_go_before_the_two_can_be_one():
    matcher = default_matcher()
    elder, younger = (
        matcher.prepare(
            Record(RecordKey("crm", suffix), "john", None, f"larsen {suffix}", "1980-03-09", emails=("j@larsen.org",))
        )
        for suffix in ("jr", "sr")
    )
    found = evidence(matcher, elder, younger)
    assert found.conflicts == ("generation.differs",)
    assert found.verdict(matcher.join) is Verdict.APART
    assert "generation" in [change.comparison for change in counterfactual(matcher, found).changes]


def test_codes_of_levels_differ_whatever_a_model_calls_them():
    levels = [Level(label, Otherwise(), m=0.5, u=0.5) for label in ("Same!", "same", "SAME?", "€", "")]
    assert len(set(codes(Comparison("name", tuple(levels))))) == len(levels)


def test_two_who_differ_in_everything_are_explained_without_delay():
    """The search is exponential at worst; these need the most changes of any pair."""
    levels = [("same", 3.0), ("alike", 2.0), ("somewhat", 1.1), ("far", 0.4), ("differs", -1.0)]
    traits = tuple(
        Comparison(
            f"trait_{at}",
            tuple(
                Level(label, Otherwise(), m=min(0.9, 0.01 * 2 ** (bits + at / 50)), u=0.01) for label, bits in levels
            ),
        )
        for at in range(11)
    )
    matcher = Matcher(traits, prior=-12.0)
    one, other = (matcher.prepare(Record(RecordKey("crm", number))) for number in "12")
    found = evidence(matcher, one, other)
    outcomes = tuple(matcher.usual(at, 4) for at in range(11))
    worst = replace(found, score=-12.0 + sum(each.person for each in outcomes), outcomes=outcomes)
    assert len(counterfactual(matcher, worst).changes) == 6
