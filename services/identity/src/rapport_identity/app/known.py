"""What a process knows of identifiers by heart: whose they are."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rapport_identity.app.replica import Replica
from rapport_identity.domain.records import RecordKey
from rapport_identity.domain.sharing import Sharing
from rapport_identity.domain.sightings import COLUMNS, Holder, Normal


class Known:
    """What the replica knows of identifiers.

    Args:
        replica: As of the head.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def holders(self, normal: Normal) -> Sequence[Holder]:
        """Return the records that hold an identifier; none if too many share it for it to say who that is."""
        verdict, entries = self._replica.index.holders(*normal)
        if verdict is not Sharing.PERSONAL:
            return ()
        owners = self._replica.owners
        return [Holder(each.number, owners[each.number], each.key) for each in entries if each.number in owners]

    def number_of(self, key: RecordKey) -> int | None:
        """Return the number of a record by its key."""
        return self._replica.index.number_of(key)

    def held(self, number: int) -> tuple[str, Collection[Normal]]:
        """Return the profile of a record, and the identifiers it holds."""
        columns = self._replica.index[number].columns
        return self._replica.owners[number], [(column, each) for column in COLUMNS for each in columns[column] or ()]

    def is_known(self, profile_id: str) -> bool:
        """Whether a profile is somebody's, and not that of a device or browser alone."""
        facets, members = self._replica.facets, self._replica.members
        return any(not facets[number].anonymous for number in members[profile_id])
