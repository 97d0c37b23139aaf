"""Which ids were one profile at any position, as merges and splits were recorded.

Identity names each resulting profile with a version and every id that redirects to it. The newest word per id holds, so
the order in which its events arrive does not matter.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from rapport_consent.domain.rows import PartitionChange

_NEVER: Final = 2**63


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an id first issued by a split comes from: the ids of the profile it left, up to the split's position."""

    position: int
    left_ids: frozenset[str]


class Partition:
    """The history of who is who. An id that no merge or split named is a profile of its own.

    Positions given as `at` ask how things stood once that position was recorded; None asks for the present.
    """

    __slots__ = ("_assigned", "_children", "_families", "_members", "_moves", "_origins", "_parted")

    def __init__(self) -> None:
        self._assigned: dict[str, tuple[int, str]] = {}  # id -> version of identity's newest word on it, profile
        self._moves: dict[str, list[tuple[int, str]]] = {}  # id -> position and survivor from then on
        self._members: dict[str, set[str]] = {}  # survivor -> its closure, where that is more than itself
        self._families: dict[str, set[str]] = {}  # id -> every id it was ever connected with, one shared set
        self._origins: dict[str, Origin] = {}
        self._children: dict[str, set[str]] = {}  # id -> ids first issued by splits of its profile
        self._parted: set[str] = set()

    def survivor(self, profile_id: str, at: int | None = None) -> str:
        """Return the id that stands for this one."""
        moves = self._moves.get(profile_id)
        if moves is None:
            return profile_id
        index = _last(moves, at)
        return moves[index][1] if index >= 0 else profile_id

    def version_of(self, profile_id: str) -> int:
        """Return the version of identity's newest word on this id; 0 before the first."""
        return self._assigned.get(profile_id, (0, ""))[0]

    def closure_of(self, profile_id: str) -> frozenset[str]:
        """Return the ids that are now one profile with this one, itself included."""
        current = self.survivor(profile_id)
        return frozenset(self._members.get(current) or (current,))

    def family_of(self, profile_id: str) -> frozenset[str]:
        """Return every id that merges and splits ever connected with this one: their rows are read together."""
        return frozenset(self._families.get(profile_id) or (profile_id,))

    def is_alone(self, profile_id: str) -> bool:
        """True if no merge or split ever connected the id with another."""
        return len(self._families.get(profile_id, ())) <= 1

    def ever_parted(self, profile_id: str) -> bool:
        """True if the id was ever in one profile with an id of which it was parted, or was issued by a split."""
        return profile_id in self._parted

    def together(self, one: str, other: str, at: int | None = None) -> bool:
        """True if both are one profile."""
        return self.survivor(one, at) == self.survivor(other, at)

    def joined_at(self, one: str, other: str, at: int | None = None) -> int | None:
        """Return the position at which two ids came together to stay so; None if they are apart, 0 for one id."""
        if one == other:
            return 0
        moves, others = self._moves.get(one, []), self._moves.get(other, [])
        i, j = _last(moves, at), _last(others, at)
        since = None
        while (moves[i][1] if i >= 0 else one) == (others[j][1] if j >= 0 else other):
            since = max(moves[i][0] if i >= 0 else 0, others[j][0] if j >= 0 else 0)
            if i >= 0 and moves[i][0] == since:
                i -= 1
            if j >= 0 and others[j][0] == since:
                j -= 1
        return since

    def sources_of(self, profile_id: str) -> dict[str, int]:
        """Return from whom an id issued by a split takes negatives: id -> the position before which it does.

        An id issued by a split of a profile that a split had issued takes from both, whichever split arrived first.
        """
        sources: dict[str, int] = {}
        pending = [(profile_id, _NEVER)]
        while pending:
            issued, limit = pending.pop()
            origin = self._origins.get(issued)
            if origin is None:
                continue
            position = min(origin.position, limit)
            for left in origin.left_ids:
                if left != profile_id and sources.get(left, 0) < position:
                    sources[left] = position
                    pending.append((left, position))
        return sources

    def apply(self, position: int, change: PartitionChange) -> frozenset[str]:
        """Follow a merge or split; return the profiles, as they now are, whose state it may change."""
        ids = change.ids
        affected = set(ids).union(*map(self.closure_of, {self.survivor(profile_id) for profile_id in ids}))
        before = {profile_id: self.survivor(profile_id) for profile_id in affected}
        for profile in change.profiles:
            for profile_id in (profile.profile_id, *profile.redirect_ids):
                if profile.version > self._assigned.get(profile_id, (0, ""))[0]:
                    self._assigned[profile_id] = (profile.version, profile.profile_id)
        for profile_id in affected:
            self._move(profile_id, before[profile_id], position)
        self._note_partings(before)
        self._connect(affected)
        self._note_origins(position, change)
        affected |= self._descendants(change.issued_ids)
        return frozenset(self.survivor(profile_id) for profile_id in affected)

    def _move(self, profile_id: str, before: str, position: int) -> None:
        """Let an id follow identity's newest word, through profiles that were themselves absorbed later."""
        after = profile_id
        while (onward := self._assigned.get(after, (0, after))[1]) != after:  # versions rise, so this ends
            after = onward
        if after == before:
            return
        self._moves.setdefault(profile_id, []).append((position, after))
        self._members.get(before, set()).discard(profile_id)
        self._members.setdefault(after, {after} if self.survivor(after) == after else set()).add(profile_id)

    def _note_partings(self, before: dict[str, str]) -> None:
        heirs: dict[str, set[str]] = {}
        for profile_id, survivor in before.items():
            heirs.setdefault(survivor, set()).add(self.survivor(profile_id))
        self._parted.update(i for i, survivor in before.items() if len(heirs[survivor]) > 1)

    def _connect(self, ids: Iterable[str]) -> None:
        families = {id(family): family for i in ids if (family := self._families.get(i)) is not None}
        whole = max(families.values(), key=len, default=set())
        added = set(ids).union(*families.values()) - whole
        whole |= added
        for profile_id in added:
            self._families[profile_id] = whole

    def _note_origins(self, position: int, change: PartitionChange) -> None:
        self._parted.update(change.issued_ids)
        for issued in change.issued_ids:
            self._origins.setdefault(issued, Origin(position, change.left_ids))
            for left in change.left_ids:
                self._children.setdefault(left, set()).add(issued)

    def _descendants(self, issued_ids: Iterable[str]) -> set[str]:
        found: set[str] = set()
        pending = list(issued_ids)
        while pending:
            fresh = self._children.get(pending.pop(), set()) - found
            found |= fresh
            pending.extend(fresh)
        return found


def _last(moves: list[tuple[int, str]], at: int | None) -> int:
    """Index of the last move up to a position, -1 for none."""
    index = len(moves) - 1
    if at is not None:
        while index >= 0 and moves[index][0] > at:
            index -= 1
    return index
