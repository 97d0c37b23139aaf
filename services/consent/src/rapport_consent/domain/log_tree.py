"""Where the hashes of a log's tree are: which complete subtrees a root or a proof is made of.

Of a tree that only grows, complete subtrees never change: they are stored once, and all else follows from a few of
them. A node is named by its level, 0 for a leaf, and by its place there: it stands over 2 ** level leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rapport_privacy.merkle import EMPTY_ROOT, node_hash


class Node(NamedTuple):
    """A complete subtree."""

    level: int
    place: int


Part = tuple[Node, ...]
"""Complete subtrees, the leftmost first, whose hashes folded from the right are one hash of a proof."""


def part(begin: int, end: int) -> Part:
    """Return the complete subtrees that these leaves are made of; as many as a tree is deep at most."""
    found = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        if begin:
            level = min(level, (begin & -begin).bit_length() - 1)
        found.append(Node(level, begin >> level))
        begin += 1 << level
    return tuple(found)


def inclusion(index: int, size: int) -> list[Part]:
    """Return the parts of a proof that a leaf is in a tree, the lowest first (RFC 6962, section 2.1.1)."""
    begin, end = 0, size
    found: list[Part] = []
    while end - begin > 1:
        at = begin + (1 << (end - begin - 1).bit_length() - 1)
        if index < at:
            found.append(part(at, end))
            end = at
        else:
            found.append(part(begin, at))
            begin = at
    return found[::-1]


def consistency(smaller: int, size: int) -> list[Part]:
    """Return the parts of a proof that a tree continues a smaller one (RFC 6962, section 2.1.2); none from nothing."""
    if smaller in (0, size):
        return []
    begin, end, whole = 0, size, True
    found: list[Part] = []
    while smaller != end:
        at = begin + (1 << (end - begin - 1).bit_length() - 1)
        if smaller <= at:
            found.append(part(at, end))
            end = at
        else:
            found.append(part(begin, at))
            begin, whole = at, False
    if not whole:
        found.append(part(begin, end))
    return found[::-1]


def folded(hashes: Sequence[bytes]) -> bytes:
    """Return the one hash over those of a part."""
    if not hashes:
        return EMPTY_ROOT
    *rest, found = hashes
    for each in reversed(rest):
        found = node_hash(each, found)
    return found


def grown(
    size: int, leaves: Iterable[bytes], frontier: Iterable[bytes]
) -> tuple[list[tuple[Node, bytes]], list[bytes]]:
    """Append the hashes of leaves; return every subtree that is complete from now on, and the new frontier.

    Args:
        size: Leaves there are already.
        leaves: Hashes of new ones.
        frontier: Hashes of `part(0, size)`.
    """
    made: list[tuple[Node, bytes]] = []
    roots = list(frontier)
    for index, hash_ in enumerate(leaves, start=size):
        node = Node(0, index)
        made.append((node, hash_))
        while node.place & 1:
            node, hash_ = Node(node.level + 1, node.place >> 1), node_hash(roots.pop(), hash_)
            made.append((node, hash_))
        roots.append(hash_)
    return made, roots


def read_parts(parts: Iterable[Part], hash_of: Callable[[Node], bytes]) -> list[bytes]:
    """Return the hashes of a proof."""
    return [folded([hash_of(node) for node in each]) for each in parts]
