from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_identity.domain.comparisons import Comparison, Level, unknown
from rapport_identity.domain.conditions import All, Any, Field, Missing, Otherwise
from rapport_identity.domain.defaults import default_matcher
from rapport_identity.domain.evidence import HOUSEHOLD, evidence
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.matcher_json import dump, load
from rapport_identity.domain.records import Address, Record, RecordKey
from rapport_identity.domain.traits import missing, same


def person(number: int = 1, **fields: object) -> Record:
    return Record(RecordKey("crm", str(number)), **fields)  # type: ignore[arg-type]


def bits_of(matcher: Matcher, *pair: Record) -> dict[str, float]:
    """What each comparison, and the term for a household, says of two records."""
    return {each.comparison: each.bits for each in evidence(matcher, *map(matcher.prepare, pair)).weights}


@given(seed=st.integers(0, 10_000))
def test_a_pair_weighs_the_same_in_either_order(people, seed):
    matcher = default_matcher()
    a, b = (matcher.prepare(record) for record in people(2, seed))
    assert evidence(matcher, a, b) == evidence(matcher, b, a)
    assert matcher.score(a, b) == matcher.score(b, a)


def test_what_is_missing_weighs_nothing():
    matcher = default_matcher()
    bits = bits_of(matcher, person(1), person(2, given_name="mary", surname="jones"))
    assert {name: bits[name] for name in bits if name != HOUSEHOLD} == {
        comparison.name: 0.0 for comparison in matcher.comparisons
    }


@given(seed=st.integers(0, 10_000), nothing=st.sampled_from([
    Missing(Field("given", "l")),
    Missing(Field("given", "r", 2, 3)),
    Any((Missing(Field("given", "l")), Missing(Field("given", "r")))),
    Any((Missing(Field("given", "l")), Missing(Field("surname", "r")))),
    Any((Missing(Field("given", "l")), Missing(Field("given", "r")), same("given", "surname"))),
    All((missing("given"), missing("surname"))),
    All((missing("given"), Missing(Field("surname", "l")))),
]))  # fmt: skip
def test_whatever_a_model_calls_unknown_the_score_is_that_of_the_parts(people, seed, nothing):
    levels = (
        Level("not known", nothing),
        Level("same", same("given"), 0.9, 0.1),
        Level("other", Otherwise(), 0.1, 0.9),
    )
    matcher = Matcher((Comparison("name", levels),), prior=-3)
    a, b = (matcher.prepare(record) for record in people(2, seed))
    assert matcher.score(a, b) == evidence(matcher, a, b).score


def test_a_rare_name_says_more_than_a_common_one():
    matcher = default_matcher()

    def bits(surname: str) -> float:
        return bits_of(matcher, person(1, surname=surname), person(2, surname=surname))["surname"]

    table = matcher.frequencies["surname"]
    common, rare = max(table, key=lambda name: table[name]), min(table, key=lambda name: table[name])
    assert bits(rare) > bits(common) + 3


def test_relatives_at_one_address_are_two_persons_and_a_household():
    matcher = default_matcher()
    home = Address(street="12 Larkspur Close", city="Leeds", postcode="ls1 4ab")
    mary = person(1, given_name="Mary", surname="Okonkwo", birth_date="1980-05-01", address=home)
    peter = person(2, given_name="Peter", surname="Okonkwo", birth_date="1978-11-23", address=home)
    a, b = matcher.prepare(mary), matcher.prepare(peter)
    assert matcher.score(a, b) < matcher.fracture
    assert matcher.score(a, b) < replace(matcher, household_odds=0.0).score(a, b) - 5
    again = matcher.prepare(replace(mary, key=RecordKey("shop", "9"), given_name="M"))
    assert matcher.score(a, again) > matcher.join


def test_father_and_son_of_one_name_are_kept_apart_by_a_veto():
    matcher = default_matcher()
    home = Address(street="12 Larkspur Close", postcode="ls1 4ab")
    father = matcher.prepare(person(1, given_name="David", surname="Dobbins Sr", address=home))
    son = matcher.prepare(person(2, given_name="David", surname="Dobbins jr.", address=home))
    assert evidence(matcher, father, son).conflicts == ("generation.differs",)
    assert matcher.score(father, son) == -inf


@given(seed=st.integers(0, 10_000))
def test_a_matcher_survives_json_and_weighs_the_same(people, seed):
    matcher = default_matcher()
    text = dump(matcher)
    again = load(text)
    assert dump(again) == text
    a, b = people(2, seed)
    found, as_found = (evidence(each, each.prepare(a), each.prepare(b)) for each in (matcher, again))
    assert as_found == found


@pytest.mark.parametrize("text", ["{}", "[]", '{"format": 2}', '{"format": 1}', '{"format": 1, "comparisons": [{}]}'])
def test_what_is_no_matcher_is_refused(text):
    with pytest.raises(ValueError, match="not a matcher"):
        load(text)


def test_a_matcher_whose_values_decide_nothing_is_refused():
    trait = Comparison(
        "name", (unknown("given"), Level("same", same("given"), 0.9, 0.1), Level("other", Otherwise(), 0.1, 0.9))
    )
    with pytest.raises(ValueError, match="fracture"):
        Matcher((trait,), prior=-10, join=0, fracture=1)
    with pytest.raises(ValueError, match="household"):
        Matcher((trait,), prior=-10, household_odds=-1)
