"""Who is whose, as the consent ledger has it."""

from __future__ import annotations

from rapport_privacy.replica import Replica


class LedgerPeople:
    """Ids of people, from the replica that decisions are made from: both always speak of the same moment.

    Args:
        replica: The gate's.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    @property
    def are_known(self) -> bool:
        """Whether the ledger was read at all: before that nobody is known to be anybody else."""
        return self._replica.warm

    def ids_of(self, profile_id: str) -> tuple[str, ...]:
        """Return every id that stands for a person, the current one first; of nobody none."""
        if not profile_id:
            return ()
        # Only who was merged has other ids, and is in the dictionary then, under each of them.
        subject = self._replica.contents.recent.get(profile_id)
        if subject is None or not subject.redirect_ids:
            return (profile_id,)
        return subject.profile_id, *subject.redirect_ids

    def current(self, profile_id: str) -> str:
        """Return the id that stands for a person now; empty for nobody."""
        ids = self.ids_of(profile_id)
        return ids[0] if ids else ""
