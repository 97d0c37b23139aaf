"""Which questions are put to stewards, and which first."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapport_identity.domain.bonds import Bond, Bonds
from rapport_identity.domain.defaults import default_matcher
from rapport_identity.domain.evidence import evidence
from rapport_identity.domain.index import Index
from rapport_identity.domain.records import Record, RecordKey
from rapport_identity.domain.reviews import MARGIN, ReviewCause, questions, uncertainty


def indexed(records, matcher=None):
    index = Index(matcher or default_matcher())
    for number, record in enumerate(records):
        index.put(number, record)
    index.settle()
    return index


def pair(**said):
    """Two who share an address of e-mail, and what else is said of both."""
    return [Record(RecordKey("crm", at), surname="Nakamura", emails=("liz@nakamura.org",), **said) for at in "12"]


def at_margin(records, margin):
    """The records under a matcher by which the two lie that far from where the verdict flips."""
    matcher = default_matcher()
    score = evidence(matcher, *map(matcher.prepare, records)).score
    return indexed(records, replace(matcher, join=score - margin, fracture=score - margin - 50))


def asked(index, bonds=None, start=0):
    return questions(index, bonds or Bonds(), index[start])[1]


@pytest.mark.parametrize("margin", [-2.0, 0.0, 2.5])
def test_a_close_call_is_asked_on_either_side_of_the_border(margin):
    (question,) = asked(at_margin(pair(), margin))
    assert (question.cause, question.first, question.second) == (ReviewCause.CLOSE_CALL, 0, 1)
    assert question.gain == pytest.approx(uncertainty(margin), abs=1e-4)


@pytest.mark.parametrize("margin", [-MARGIN - 1, MARGIN + 1])
def test_a_clear_call_is_not_asked(margin):
    assert asked(at_margin(pair(), margin)) == []


@pytest.mark.parametrize("must", [True, False])
def test_what_a_steward_decided_is_not_asked_again(must):
    bonds = Bonds()
    bonds.put("cst_1", Bond(must, ((0, 1),) if must else ((0,), (1,))))
    assert asked(at_margin(pair(), 1.0), bonds) == []


def test_evidence_that_a_conflict_outweighs_is_asked():
    father_and_son = [
        Record(RecordKey("crm", suffix), "John", None, f"Larsen {suffix}", "1980-03-09", emails=("j@larsen.org",))
        for suffix in ("Jr", "Sr")
    ]
    (question,) = asked(indexed(father_and_son))
    assert (question.cause, question.gain) == (ReviewCause.CONTRADICTION, 1.0)


def test_a_ban_on_others_of_two_persons_is_questioned_where_the_evidence_stands_against_it():
    records = [
        Record(RecordKey("crm", f"{at}"), "Liz", None, "Nakamura", "1981-03-09", emails=("liz@nakamura.org",))
        for at in range(4)
    ]
    bonds = Bonds()
    bonds.put("cst_1", Bond(True, ((0, 1),)))
    bonds.put("cst_2", Bond(True, ((2, 3),)))
    bonds.put("cst_3", Bond(False, ((2,), (0,))))
    assert asked(indexed(records), bonds) == []  # the pair that speaks most was decided itself
    bonds.put("cst_3", Bond(False, ((3,), (1,))))
    (question,) = asked(indexed(records), bonds)
    assert (question.cause, question.gain) == (ReviewCause.CONTRADICTION, 4.0)


def test_a_cut_is_asked_about():
    records = [
        Record(RecordKey("crm", f"{at}"), "Liz", None, "Nakamura", "1981-03-09", emails=("liz@nakamura.org",))
        for at in range(4)
    ]
    index = indexed(records, replace(default_matcher(), largest_component=2))
    assert {each.cause for each in asked(index)} == {ReviewCause.COMPONENT_CUT}


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_a_component_asks_the_same_whichever_record_is_looked_at_and_most_gain_first(people, seed):
    index = indexed(people(20, seed))
    entries, found = questions(index, Bonds(), index[0])
    assert [each.gain for each in found] == sorted((each.gain for each in found), reverse=True)
    assert len({(each.first, each.second) for each in found}) == len(found)
    here = {entry.number for entry in entries}
    for question in found:
        assert question.first < question.second
        assert {question.first, question.second} & here
    assert questions(index, Bonds(), entries[-1])[1] == found


@given(margin=st.floats(-200, 200))
def test_uncertainty_is_the_entropy_of_the_verdict(margin):
    assert 0 <= uncertainty(margin) <= 1
    assert uncertainty(margin) == uncertainty(-margin)
    assert uncertainty(0) == 1
    assert (uncertainty(margin) >= 0.5) == (abs(margin) < 3.02) or 3.01 < abs(margin) < 3.03
