"""The Merkle hash tree of RFC 6962: roots, proofs that a leaf is in a tree, and that one tree continues another.

Proofs are verified without the tree: from the hashes handed out, as RFC 9162, sections 2.1.3.2 and 2.1.4.2 tell it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

EMPTY_ROOT: Final = sha256(b"").digest()
"""Root of a tree without leaves."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node over two subtrees."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that grows, by the roots of its complete subtrees alone: as many hashes as its size has ones in binary.

    Args:
        size: Leaves it has already.
        roots: Roots of its complete subtrees, the largest first.

    Raises:
        ValueError: There are not as many roots as a tree of this size has.
    """

    def __init__(self, size: int = 0, roots: Iterable[bytes] = ()) -> None:
        self.size = size
        self.roots = list(roots)
        if len(self.roots) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} complete subtrees, not {len(self.roots)}")

    def append(self, leaf: bytes) -> None:
        """Add the hash of a leaf."""
        self.roots.append(leaf)
        self.size += 1
        for _ in range((self.size & -self.size).bit_length() - 1):
            right = self.roots.pop()
            self.roots.append(node_hash(self.roots.pop(), right))

    def root(self) -> bytes:
        """Return the root of all leaves so far."""
        if not self.roots:
            return EMPTY_ROOT
        *rest, found = self.roots
        for each in reversed(rest):
            found = node_hash(each, found)
        return found


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over the hashes of leaves."""
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the hashes that lead from a leaf to the root, the lowest first.

    Args:
        leaves: The hashes of all leaves.
        index: The leaf.

    Raises:
        IndexError: There is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"no leaf {index} in a tree of {len(leaves)}")
    if len(leaves) == 1:
        return []
    at = _split(len(leaves))
    if index < at:
        return [*inclusion_proof(leaves[:at], index), root_of(leaves[at:])]
    return [*inclusion_proof(leaves[at:], index - at), root_of(leaves[:at])]


def consistency_proof(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """Return the hashes from which both the root of the first leaves and that of all of them follow.

    Args:
        leaves: The hashes of all leaves.
        size: How many of them the earlier tree had; at least one.

    Raises:
        ValueError: The earlier tree was empty, or larger.
    """
    if not 0 < size <= len(leaves):
        raise ValueError(f"a tree of {len(leaves)} leaves does not continue one of {size}")
    return _subproof(leaves, size, whole=True)


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a proof shows that the leaf of this hash is at this place of the tree of this size and root."""
    if not 0 <= index < size:
        return False
    found, node, last = leaf, index, size - 1
    for each in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = node_hash(each, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, each)
        node, last = node >> 1, last >> 1
    return last == 0 and found == root


def is_consistent(size: int, root: bytes, larger: int, larger_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether a proof shows that the larger tree begins with all leaves of the smaller one, in their order."""
    if size == larger:
        return not proof and root == larger_root
    if not 0 < size < larger:
        return False
    hashes = iter(proof if size & (size - 1) else (root, *proof))
    node, last = size - 1, larger - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    first = next(hashes, None)
    if first is None:
        return False
    small = large = first
    for each in hashes:
        if last == 0:
            return False
        if node & 1 or node == last:
            small, large = node_hash(each, small), node_hash(each, large)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            large = node_hash(large, each)
        node, last = node >> 1, last >> 1
    return last == 0 and small == root and large == larger_root


def _subproof(leaves: Sequence[bytes], size: int, *, whole: bool) -> list[bytes]:
    """RFC 6962, section 2.1.2: `whole` while the earlier tree is the very subtree that is looked at."""
    if size == len(leaves):
        return [] if whole else [root_of(leaves)]
    at = _split(len(leaves))
    if size <= at:
        return [*_subproof(leaves[:at], size, whole=whole), root_of(leaves[at:])]
    return [*_subproof(leaves[at:], size - at, whole=False), root_of(leaves[:at])]


def _split(size: int) -> int:
    """Return the largest power of two below a size."""
    return 1 << (size - 1).bit_length() - 1
