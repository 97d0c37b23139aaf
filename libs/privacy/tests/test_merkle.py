"""The hash tree of RFC 6962: its known roots, and proofs that hold for what they were made for and for nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_privacy.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    is_consistent,
    is_included,
    leaf_hash,
    node_hash,
    root_of,
)

LEAVES = [
    bytes.fromhex(each)
    for each in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
# The roots that implementations of Certificate Transparency test with, by how many of these leaves a tree has.
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
trees = st.integers(1, 70).map(lambda size: [leaf_hash(b"%d" % each) for each in range(size)])


def plain_root(hashes: Sequence[bytes]) -> bytes:
    """The root as section 2.1 defines it, by recursion."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    at = 1
    while at * 2 < len(hashes):
        at *= 2
    return node_hash(plain_root(hashes[:at]), plain_root(hashes[at:]))


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_known_ones(size: int) -> None:
    assert root_of(map(leaf_hash, LEAVES[:size])).hex() == ROOTS[size]


@given(trees)
def test_a_tree_that_grows_has_the_root_of_the_definition_and_goes_on_from_its_frontier(hashes: list[bytes]) -> None:
    tree = Frontier()
    for size, each in enumerate(hashes):
        assert tree.root() == plain_root(hashes[:size])
        tree = Frontier(tree.size, tree.roots)
        tree.append(each)
    assert tree.root() == plain_root(hashes)


def test_a_frontier_that_does_not_fit_its_size_is_refused() -> None:
    with pytest.raises(ValueError, match="2 complete subtrees"):
        Frontier(3, [b"\x00" * 32])


@given(trees, st.data())
def test_a_leaf_is_proven_at_its_own_place_in_its_own_tree_and_nowhere_else(
    hashes: list[bytes], data: st.DataObject
) -> None:
    size = len(hashes)
    index = data.draw(st.integers(0, size - 1))
    proof, root = inclusion_proof(hashes, index), root_of(hashes)
    assert is_included(hashes[index], index, size, proof, root)
    other = data.draw(st.integers(-1, size + 1).filter(lambda each: each != index))
    assert not is_included(hashes[index], other, size, proof, root)
    assert not is_included(leaf_hash(b"another"), index, size, proof, root)
    assert not is_included(hashes[index], index, size, proof, leaf_hash(b"another"))
    assert not is_included(hashes[index], index, size, [*proof, root], root)
    if proof:
        assert not is_included(hashes[index], index, size, proof[:-1], root)
        swapped = [node_hash(each, each) for each in proof]
        assert not is_included(hashes[index], index, size, swapped, root)


@given(trees, st.data())
def test_a_tree_is_proven_to_continue_an_earlier_one_and_no_other(hashes: list[bytes], data: st.DataObject) -> None:
    larger = len(hashes)
    size = data.draw(st.integers(1, larger))
    proof, root, larger_root = consistency_proof(hashes, size), root_of(hashes[:size]), root_of(hashes)
    assert is_consistent(size, root, larger, larger_root, proof)
    forked = [leaf_hash(b"forked"), *hashes[1:]]
    assert not is_consistent(size, root_of(forked[:size]), larger, larger_root, proof)
    assert not is_consistent(size, root, larger, root_of(forked), proof)
    assert not is_consistent(size, root, larger, larger_root, [*proof, root])
    if size < larger:
        assert not is_consistent(size, root, larger, larger_root, proof[:-1])
        assert not is_consistent(size, root, larger, larger_root, [])


@pytest.mark.parametrize("size", [0, 4])
def test_no_tree_continues_an_empty_or_a_larger_one(size: int) -> None:
    with pytest.raises(ValueError, match="does not continue"):
        consistency_proof([leaf_hash(b"a")] * 3, size)
    assert not is_consistent(size, b"", 3, b"", [])


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int) -> None:
    with pytest.raises(IndexError):
        inclusion_proof([leaf_hash(b"a")] * 3, index)
