"""Proof of whom a model was learned from, and of whom not, without naming anybody.

Every person who trained a model is a leaf of a hash tree: a salted tag of the profile id and the cutoffs of its rows.
Leaves are in order of tags, so a person is shown to be absent by two neighbours between whose tags theirs would stand.
The root stands in the model card, and the artefact that holds the card is named by its digest.
"""

from __future__ import annotations

import hmac
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Self

from rapport_privacy.merkle import inclusion_proof, is_included, leaf_hash, root_of

TAG: Final = 32


@dataclass(frozen=True, slots=True)
class Witness:
    """A leaf, where it stands, and the hashes that lead from it to the root."""

    leaf: bytes
    index: int
    path: tuple[bytes, ...]

    def as_json(self) -> dict[str, Any]:
        """Return what `of_json` reads."""
        return {"leaf": self.leaf.hex(), "index": self.index, "path": [each.hex() for each in self.path]}

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Self:
        """Return the witness that was written."""
        return cls(bytes.fromhex(told["leaf"]), told["index"], tuple(bytes.fromhex(each) for each in told["path"]))


class Membership:
    """Everybody a model was learned from.

    Args:
        leaves: One a person, ascending.
    """

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.leaves = list(leaves)
        if any(one[:TAG] >= other[:TAG] for one, other in zip(self.leaves, self.leaves[1:], strict=False)):
            raise ValueError("leaves ascend by their tags, each of which occurs once")
        self._hashes = [leaf_hash(leaf) for leaf in self.leaves]

    @classmethod
    def of(cls, rows: Iterable[tuple[str, int]], salt: bytes) -> Self:
        """Return the membership of training rows.

        Args:
            rows: Profile id and cutoff, in microseconds, of every row.
            salt: Of this model; without it a tag tells nothing of an id.
        """
        cutoffs: dict[str, set[int]] = {}
        for profile_id, cutoff in rows:
            cutoffs.setdefault(profile_id, set()).add(cutoff)
        return cls(
            sorted(
                tag_of(profile_id, salt) + b"".join(cutoff.to_bytes(8, "big") for cutoff in sorted(own))
                for profile_id, own in cutoffs.items()
            )
        )

    @property
    def root(self) -> bytes:
        """The root of the tree."""
        return root_of(self._hashes)

    def has(self, profile_id: str, salt: bytes) -> bool:
        """Whether a person is in the tree."""
        tag = tag_of(profile_id, salt)
        at = bisect_left(self.leaves, tag)
        return at < len(self.leaves) and self.leaves[at].startswith(tag)

    def absence(self, profile_id: str, salt: bytes) -> list[Witness]:
        """Return the neighbours between whom a person would stand; one at an end, none in an empty tree.

        Raises:
            ValueError: The person is in the tree.
        """
        tag = tag_of(profile_id, salt)
        at = bisect_left(self.leaves, tag)
        if at < len(self.leaves) and self.leaves[at].startswith(tag):
            raise ValueError("the model was learned from this person")
        places = [place for place in (at - 1, at) if 0 <= place < len(self.leaves)]
        return [Witness(self.leaves[each], each, tuple(inclusion_proof(self._hashes, each))) for each in places]

    def presence(self, profile_id: str, salt: bytes) -> Witness:
        """Return the leaf of a person.

        Raises:
            ValueError: The person is not in the tree.
        """
        tag = tag_of(profile_id, salt)
        at = bisect_left(self.leaves, tag)
        if at == len(self.leaves) or not self.leaves[at].startswith(tag):
            raise ValueError("the model was not learned from this person")
        return Witness(self.leaves[at], at, tuple(inclusion_proof(self._hashes, at)))

    def dump(self) -> bytes:
        """Return the leaves as a file: each after its length in four bytes."""
        return b"".join(len(leaf).to_bytes(4, "big") + leaf for leaf in self.leaves)

    @classmethod
    def load(cls, file: bytes) -> Self:
        """Return the membership of a file.

        Raises:
            ValueError: It is damaged.
        """
        leaves, at = [], 0
        while at < len(file):
            length = int.from_bytes(file[at : at + 4], "big")
            leaf = file[at + 4 : at + 4 + length]
            if length < TAG or len(leaf) != length:
                raise ValueError("the list of members is damaged")
            leaves.append(leaf)
            at += 4 + length
        return cls(leaves)


def tag_of(profile_id: str, salt: bytes) -> bytes:
    """Return the tag of a profile id."""
    return hmac.new(salt, profile_id.encode(), sha256).digest()


def is_absent(profile_id: str, salt: bytes, size: int, root: bytes, neighbours: Sequence[Witness]) -> bool:
    """Whether neighbours show that no leaf of a tree is of a person; needs nothing but what is handed out."""
    tag = tag_of(profile_id, salt)
    if not all(is_included(leaf_hash(each.leaf), each.index, size, each.path, root) for each in neighbours):
        return False
    match list(neighbours):
        case []:
            return size == 0 and root == root_of([])
        case [only] if only.index == 0 and tag < only.leaf[:TAG]:
            return True
        case [only] if only.index == size - 1 and only.leaf[:TAG] < tag:
            return True
        case [before, after]:
            return before.index + 1 == after.index and before.leaf[:TAG] < tag < after.leaf[:TAG]
        case _:
            return False


def is_present(profile_id: str, salt: bytes, size: int, root: bytes, witness: Witness) -> bool:
    """Whether a witness shows that a leaf of a tree is of a person."""
    included = is_included(leaf_hash(witness.leaf), witness.index, size, witness.path, root)
    return included and witness.leaf[:TAG] == tag_of(profile_id, salt)
