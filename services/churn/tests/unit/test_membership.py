"""It can be shown of anybody whether a model was learned from them, and nothing else can be shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_churn.domain.membership import Membership, Witness, is_absent, is_present

SALT = b"salt of this model"
rows = st.lists(st.tuples(st.sampled_from([f"prf_{at}" for at in range(30)]), st.integers(0, 10**15)), max_size=60)


@given(rows, st.sampled_from([f"prf_{at}" for at in range(30)]))
def test_everybody_is_shown_present_or_absent_and_never_both(trained, asked):
    tree = Membership.of(trained, SALT)
    size, root = len(tree.leaves), tree.root
    if asked in {profile_id for profile_id, _ in trained}:
        assert is_present(asked, SALT, size, root, tree.presence(asked, SALT))
        with pytest.raises(ValueError, match="was learned from"):
            tree.absence(asked, SALT)
    else:
        assert is_absent(asked, SALT, size, root, tree.absence(asked, SALT))
        with pytest.raises(ValueError, match="was not learned"):
            tree.presence(asked, SALT)


@given(rows.filter(bool))
def test_no_choice_of_leaves_shows_a_member_absent(trained):
    tree = Membership.of(trained, SALT)
    member = trained[0][0]
    leaves = [tree.presence(profile_id, SALT) for profile_id in {each for each, _ in trained}]
    for one in leaves:
        assert not is_absent(member, SALT, len(tree.leaves), tree.root, [one])
        for other in leaves:
            assert not is_absent(member, SALT, len(tree.leaves), tree.root, [one, other])
    assert not is_absent(member, SALT, len(tree.leaves), tree.root, [])


def test_changed_witnesses_show_nothing():
    tree = Membership.of([(f"prf_{at}", at) for at in range(9)], SALT)
    proof = tree.absence("prf_x", SALT)
    assert is_absent("prf_x", SALT, 9, tree.root, proof)
    for at, each in enumerate(proof):
        for changed in (
            replace(each, leaf=bytes(32) + each.leaf[32:]),
            replace(each, index=each.index + 1),
            replace(each, path=each.path[:-1]),
        ):
            forged = [*proof[:at], changed, *proof[at + 1 :]]
            assert not is_absent("prf_x", SALT, 9, tree.root, forged)
    assert not is_absent("prf_x", b"another salt", 9, tree.root, tree.absence("prf_x", SALT)[:1])


def test_order_of_rows_does_not_matter_and_a_row_more_does():
    trained = [("prf_a", 1), ("prf_b", 2), ("prf_a", 3)]
    assert Membership.of(trained, SALT).root == Membership.of(trained[::-1], SALT).root
    assert Membership.of([*trained, ("prf_b", 3)], SALT).root != Membership.of(trained, SALT).root


def test_a_file_gives_the_tree_back_and_a_damaged_one_is_refused():
    tree = Membership.of([("prf_a", 1), ("prf_b", 2), ("prf_b", 3)], SALT)
    assert Membership.load(tree.dump()).root == tree.root
    with pytest.raises(ValueError, match="damaged"):
        Membership.load(tree.dump()[:-1])
    witness = tree.presence("prf_a", SALT)
    assert Witness.of_json(witness.as_json()) == witness
