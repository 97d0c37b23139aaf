"""Roots and proofs made of stored subtrees are those of RFC 6962, whichever way and in whichever steps the log grew."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from rapport_consent.adapters.transparency import row_record
from rapport_consent.domain import log_tree
from rapport_consent.domain.log_records import ledger_record
from rapport_privacy.merkle import consistency_proof, inclusion_proof, leaf_hash, root_of

LEAVES = [leaf_hash(bytes([number])) for number in range(70)]

# The leaves and roots by which implementations of RFC 6962 are compared (Certificate Transparency's reference tests).
KNOWN_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
KNOWN_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def stored(*batches: Iterable[bytes]) -> dict[log_tree.Node, bytes]:
    """The nodes of a tree that grew by these batches."""
    nodes: dict[log_tree.Node, bytes] = {}
    size, frontier = 0, list[bytes]()
    for batch in map(list, batches):
        made, frontier = log_tree.grown(size, batch, frontier)
        assert not nodes.keys() & dict(made).keys(), "a node is written once"
        nodes.update(made)
        size += len(batch)
        assert frontier == [nodes[node] for node in log_tree.part(0, size)]
    return nodes


def test_known_leaves_come_to_the_known_roots() -> None:
    nodes = stored([leaf_hash(bytes.fromhex(leaf)) for leaf in KNOWN_LEAVES])
    for size, root in enumerate(KNOWN_ROOTS, start=1):
        assert log_tree.folded([nodes[node] for node in log_tree.part(0, size)]).hex() == root


@pytest.mark.parametrize("size", [*range(1, 18), 31, 32, 33, 64, 70])
def test_proofs_are_those_of_the_whole_tree(size: int) -> None:
    nodes, leaves = stored(LEAVES), LEAVES[:size]
    for index in range(size):
        parts = log_tree.inclusion(index, size)
        assert log_tree.read_parts(parts, nodes.__getitem__) == inclusion_proof(leaves, index)
        assert sum(map(len, parts)) <= 2 * size.bit_length()
    for smaller in range(1, size + 1):
        parts = log_tree.consistency(smaller, size)
        assert log_tree.read_parts(parts, nodes.__getitem__) == consistency_proof(leaves, smaller)


@given(st.lists(st.integers(1, 20), max_size=6))
def test_tree_is_the_same_in_whichever_steps_it_grew(sizes: list[int]) -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(sum(sizes))]
    source = iter(leaves)
    nodes = stored(*([next(source) for _ in range(size)] for size in sizes))
    assert nodes == stored(leaves)
    assert log_tree.folded([nodes[node] for node in log_tree.part(0, len(leaves))]) == root_of(leaves)


@given(
    st.fixed_dictionaries({"kind": st.text(st.characters(exclude_categories=["Cs"])), "change": st.binary()}),
    st.recursive(
        st.text(st.characters(exclude_categories=["Cs"])) | st.integers(-(2**53) + 1, 2**53 - 1) | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abzA_0"), inner, max_size=3),
    ),
    st.datetimes(min_value=datetime(1970, 1, 1)),  # noqa: DTZ001 - rows are told in UTC, without saying so
)
def test_record_of_a_row_is_canonical(row: dict[str, Any], details: Any, recorded_at: datetime) -> None:
    columns = {"position": 7, "recorded_at": recorded_at, "details": details, "expires_at": None, **row}
    assert row_record(columns) == rfc8785.dumps(ledger_record(columns))
