"""Who is whose: which ids are one profile now, from merges and splits in any order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Redirects:
    """The current id of every id that was ever merged.

    Each change says, for a resulting profile, every id that is its own from then on; the change of the highest position
    holds for an id, whatever the order in which changes are learnt.
    """

    def __init__(self) -> None:
        self._changes: dict[str, tuple[int, str]] = {}
        self._members: dict[str, set[str]] = {}

    def apply(self, position: int, current_id: str, ids: Iterable[str]) -> list[str]:
        """Learn that ids are one profile; return those whose current id has changed."""
        moved = []
        for each in {current_id, *ids}:
            known, before = self._changes.get(each, (-1, each))
            if known >= position:
                continue
            self._changes[each] = (position, current_id)
            if before != current_id:
                self._members.get(before, set()).discard(each)
                moved.append(each)
            self._members.setdefault(current_id, {current_id}).add(each)
        return sorted(moved)

    def current(self, profile_id: str) -> str:
        """Return the id that stands for a profile now."""
        return self._changes.get(profile_id, (0, profile_id))[1]

    def closure(self, profile_id: str) -> frozenset[str]:
        """Return every id that is the same profile now, itself included."""
        current = self.current(profile_id)
        return frozenset(self._members.get(current, ())) | {current}

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield every id that another stands for, and that one."""
        return ((each, current) for each, (_, current) in self._changes.items() if each != current)
