"""The ids of erased people."""

from collections.abc import Iterable, Iterator, Set

from rapport_privacy.packed import Keys, key_of, no_keys


class Fences(Set[str]):
    """A set that only grows. Most of it is packed, in 16 bytes an id.

    Attributes:
        packed: Packed ids. Replaced as a whole.
        recent: The others: not packed yet, or never, because of another form or too like another one.
        kept: How many were left in `recent` when the others were packed.
    """

    __slots__ = ("kept", "packed", "recent")

    def __init__(self, profile_ids: Iterable[str] = (), packed: Keys | None = None) -> None:
        self.packed = no_keys() if packed is None else packed
        self.recent = set(profile_ids)
        self.kept = 0 if packed is None else len(self.recent)

    def __contains__(self, profile_id: object) -> bool:
        return profile_id in self.recent or (
            bool(self.packed.heads)
            and isinstance(profile_id, str)
            and (key := key_of(profile_id)) is not None
            and self.packed.find(key) >= 0
        )

    def __iter__(self) -> Iterator[str]:
        yield from self.packed
        yield from self.recent

    def __len__(self) -> int:
        return len(self.packed) + len(self.recent)

    @property
    def unpacked(self) -> int:
        """How many ids might be packed."""
        return len(self.recent) - self.kept

    def update(self, profile_ids: Iterable[str]) -> None:
        """Add ids."""
        self.recent.update(profile_id for profile_id in profile_ids if profile_id not in self)
