"""Explanations against the partition itself: who is with whom, the steps that led there, and what stood in the way."""

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapport_identity.domain.bonds import Bond, Bonds
from rapport_identity.domain.defaults import default_matcher
from rapport_identity.domain.evidence import Verdict
from rapport_identity.domain.explaining import explain_by, explain_match, kept_apart
from rapport_identity.domain.index import Index
from rapport_identity.domain.linkage import Constraints
from rapport_identity.domain.records import Address, Record, RecordKey
from rapport_identity.domain.resolution import resolve
from rapport_identity.domain.surroundings import Decider
from rapport_identity.domain.tree import grow


def indexed(records, matcher=None):
    index = Index(matcher or default_matcher())
    for number, record in enumerate(records):
        index.put(number, record)
    index.settle()
    return index


def entry(index, key):
    return index[index.number_of(key)]


def evidence_of(index, one, other):
    return explain_match(index, Bonds(), entry(index, one), entry(index, other)).evidence.score


def replayed(tree):
    nodes = [[leaf] for leaf in tree.leaves]
    left_over = set(range(len(nodes)))
    for join in tree.joins:
        left_over -= {join.left, join.right}
        nodes.append(nodes[join.left] + nodes[join.right])
        left_over.add(len(nodes) - 1)
    return sorted(tuple(sorted(nodes[at])) for at in left_over)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), picks=st.lists(st.integers(0, 23), min_size=4, max_size=4, unique=True))
def test_the_tree_replayed_gives_each_person_and_its_steps_are_those_of_linkage(people, seed, picks):
    records = people(24, seed)
    a, b, c, d = picks
    bonds = Bonds()
    bonds.put("cst_1", Bond(True, ((a, b),)))
    bonds.put("cst_2", Bond(False, ((c,), (d,))))
    keys = [record.key for record in records]
    constraints = Constraints(frozenset({(keys[a], keys[b])}), frozenset({(keys[c], keys[d])}))
    found = resolve(records, default_matcher(), constraints).partition
    index = indexed(records)
    steps = 0
    for cluster in found.clusters:
        tree = grow(index, bonds, [entry(index, key) for key in cluster])
        assert replayed(tree) == [cluster]
        for join in tree.joins:
            one, other, bits = join.strongest
            assert bits >= join.average - 1e-6
            assert join.decided.by is Decider.CONSTRAINT or join.average >= default_matcher().join - 1e-5
            assert bits == pytest.approx(evidence_of(index, tree.leaves[one], tree.leaves[other]))
        steps += len(tree.joins)
        lowest = min((join.average for join in tree.joins), default=None)
        assert (tree.joins[tree.weakest].average if tree.weakest is not None else None) == lowest
    assert steps == len(found.joins)


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000), picks=st.lists(st.integers(0, 11), min_size=4, max_size=4, unique=True))
def test_every_pair_is_explained_as_it_was_decided(people, seed, picks):
    records = people(12, seed)
    a, b, c, d = picks
    bonds = Bonds()
    bonds.put("cst_1", Bond(True, ((a, b),)))
    bonds.put("cst_2", Bond(False, ((c,), (d,))))
    keys = [record.key for record in records]
    constraints = Constraints(frozenset({(keys[a], keys[b])}), frozenset({(keys[c], keys[d])}))
    person = {
        k: at
        for at, cluster in enumerate(resolve(records, default_matcher(), constraints).partition.clusters)
        for k in cluster
    }
    index = indexed(records)
    join = index.matcher.join
    for one, other in combinations(range(12), 2):
        found = explain_match(index, bonds, index[one], index[other])
        together = person[keys[one]] == person[keys[other]]
        assert found.decided.verdict is (Verdict.TOGETHER if together else Verdict.APART)
        mirrored = explain_match(index, bonds, index[other], index[one])
        assert (mirrored.decided, mirrored.evidence) == (found.decided, found.evidence)
        by = found.decided.by
        if by is Decider.EVIDENCE:
            assert (found.evidence.score >= join) == together
        if by is Decider.COMPANY:
            assert (found.evidence.score >= join) != together or found.evidence.conflicts
        assert bool(found.decided.constraint_id) == (by is Decider.CONSTRAINT)
    assert explain_match(index, bonds, index[a], index[b]).decided.constraint_id == "cst_1"
    assert explain_match(index, bonds, index[c], index[d]).decided.constraint_id == "cst_2"


def person(number, given, surname, *, born="1981-03-09", email=(), phone=(), street=None):
    return Record(
        RecordKey("crm", f"{number:03}"),
        given,
        None,
        surname,
        born,
        address=Address(street=street) if street else None,
        emails=email,
        phones=phone,
    )


def test_an_identifier_that_many_hold_is_named_as_the_reason():
    crowd = [
        person(at, given, surname, born=None, phone=("+441134960000",))
        for at, (given, surname) in enumerate(
            [("Ann", "Abel"), ("Bo", "Bird"), ("Cy", "Coe"), ("Di", "Dow"), ("Ed", "Eve"), ("Fay", "Fox")]
        )
    ]
    lone = [
        person(50, None, None, born="1981-03-09", phone=("+441134960000",)),
        person(51, None, None, phone=("+441134960000",)),
    ]
    index = indexed([*crowd, *lone])
    found = explain_match(index, Bonds(), index[6], index[7])
    alone = indexed(lone)
    assert explain_match(alone, Bonds(), alone[0], alone[1]).decided.verdict is Verdict.TOGETHER
    assert (found.decided.verdict, found.decided.by) == (Verdict.APART, Decider.SHARED_IDENTIFIER)
    assert index[7].key in [each.outside.key for each in kept_apart(index, Bonds(), [index[6]])]


def test_who_was_never_compared_is_told_from_who_was_found_wanting():
    index = indexed(
        [
            person(1, "Ann", "Abel", email=("ann@abel.org",)),
            person(2, "Omar", "Okafor", born="1960-11-30", email=("omar@okafor.org",)),
            person(3, "Bruno", "Abel", born="1999-01-01", email=("bruno@abel.org",)),
        ]
    )
    assert explain_match(index, Bonds(), index[0], index[1]).decided.by is Decider.NOT_COMPARED
    assert explain_match(index, Bonds(), index[0], index[2]).decided.by is Decider.EVIDENCE


def test_a_conflict_keeps_father_and_son_apart_and_says_so():
    index = indexed(
        [person(at, "John", f"Larsen {suffix}", email=("j@larsen.org",)) for at, suffix in enumerate(("Jr", "Sr"))]
    )
    found = explain_match(index, Bonds(), index[0], index[1])
    assert found.decided.by is Decider.CONFLICT
    (kept,) = kept_apart(index, Bonds(), [index[0]])
    assert (kept.outside, kept.decided.by) == (index[1], Decider.CONFLICT)
    assert kept.score == pytest.approx(found.evidence.score)


def test_a_ban_between_others_of_their_persons_is_named():
    index = indexed([person(at, "Liz", "Nakamura", email=("liz@nakamura.org",)) for at in range(4)])
    bonds = Bonds()
    bonds.put("cst_1", Bond(True, ((0, 1),)))
    bonds.put("cst_2", Bond(True, ((2, 3),)))
    bonds.put("cst_3", Bond(False, ((0,), (2,))))
    found = explain_match(index, bonds, index[1], index[3])
    assert (found.decided.by, found.decided.constraint_id) == (Decider.CONSTRAINT, "cst_3")
    assert explain_match(index, bonds, index[0], index[1]).decided.constraint_id == "cst_1"


def test_a_component_that_was_cut_says_so():
    index = indexed(
        [person(at, "Liz", "Nakamura", email=("liz@nakamura.org",)) for at in range(4)],
        replace(default_matcher(), largest_component=2),
    )
    cut = [explain_match(index, Bonds(), index[a], index[b]).decided.by for a, b in combinations(range(4), 2)]
    assert cut == [Decider.COMPONENT_CUT] * 6


def test_another_matcher_is_asked_about_the_two_alone():
    index = indexed([person(at, "Liz", "Nakamura", email=("liz@nakamura.org",)) for at in range(2)])
    strict = replace(default_matcher(), prior=-200.0)
    found = explain_by(strict, index, Bonds(), index[0], index[1])
    assert (found.decided.verdict, found.decided.by) == (Verdict.APART, Decider.EVIDENCE)
    assert found.evidence.prior == -200.0
    bonds = Bonds()
    bonds.put("cst_1", Bond(True, ((0, 1),)))
    assert explain_by(strict, index, bonds, index[0], index[1]).decided.constraint_id == "cst_1"


def test_an_explanation_holds_no_value_of_a_person():
    records = [
        person(at, "Elizabeth", "Nakamura", email=("liz@nakamura.org",), phone=("+441134960123",), street="4 Mill Lane")
        for at in range(3)
    ]
    index = indexed(records)
    told = repr(
        [explain_match(index, Bonds(), index[0], index[1]), grow(index, Bonds(), [index[0], index[1], index[2]])]
    )
    for value in ("elizabeth", "nakamura", "1981", "1134960123", "mill"):
        assert value not in told.casefold()
