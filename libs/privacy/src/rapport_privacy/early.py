"""Negatives that arrived before the positions below them."""

from collections.abc import Iterable

from rapport.consent.v1 import ledger_pb2

from rapport_privacy import translate
from rapport_privacy.state import Key, KeyState
from rapport_privacy.vocabulary import is_negative


def is_early_negative(change: ledger_pb2.LedgerChange) -> bool:
    """True if every state that results from a change denies, so that knowing it too early permits nothing."""
    if change.purposes or not change.subjects:
        return False
    return all(_only_denies(subject) for subject in change.subjects)


class EarlyNegatives:
    """Lies over the contents of a replica until its prefix has passed the positions kept here.

    The contents stay what the ledger held at the prefix, so a lower position of the same key can neither undo an early
    negative nor be lost under it.

    Attributes:
        changes: What is kept, by position; the gate looks only whether there is any.
    """

    __slots__ = ("_restrictions", "_states", "changes")

    def __init__(self) -> None:
        self.changes: dict[int, ledger_pb2.LedgerChange] = {}
        self._states: dict[str, dict[Key, tuple[int, KeyState]]] = {}
        self._restrictions: dict[str, int] = {}

    @property
    def profile_ids(self) -> set[str]:
        """The ids that what is kept here names."""
        return self._states.keys() | self._restrictions.keys()

    def add(self, change: ledger_pb2.LedgerChange) -> None:
        """Keep an early negative."""
        self.changes[change.position] = change
        for subject in change.subjects:
            for profile_id in _ids(change, subject):
                self._add(profile_id, subject, change.position)

    def passed(self, position: int) -> None:
        """Forget the change of a position: the contents hold it now."""
        change = self.changes.pop(position, None)
        if change is None:
            return
        for subject in change.subjects:
            for profile_id in _ids(change, subject):
                self._remove(profile_id, position)

    def clear(self) -> None:
        """Forget all."""
        self.changes.clear()
        self._states.clear()
        self._restrictions.clear()

    def state(self, profile_ids: Iterable[str], keys: Iterable[Key]) -> KeyState | None:
        """Return a negative that holds for one of these ids on one of these keys.

        It holds even where the contents have a decision on a more special key: whether that one stands against it is
        known when the prefix has arrived, and until then the answer must be no.
        """
        for profile_id in profile_ids:
            states = self._states.get(profile_id)
            if states is None:
                continue
            for key in keys:
                if key in states:
                    return states[key][1]
        return None

    def restricts(self, profile_ids: Iterable[str]) -> bool:
        """True if processing is restricted for one of these ids."""
        return any(profile_id in self._restrictions for profile_id in profile_ids)

    def _add(self, profile_id: str, subject: ledger_pb2.SubjectState, position: int) -> None:
        states = self._states.setdefault(profile_id, {}) if subject.states else {}
        for message in subject.states:
            key = translate.key_of(message)
            if key not in states or states[key][0] < position:
                states[key] = (position, translate.key_state(message))
        if subject.restriction.in_force:
            self._restrictions[profile_id] = max(position, self._restrictions.get(profile_id, 0))

    def _remove(self, profile_id: str, position: int) -> None:
        states = self._states.get(profile_id, {})
        for key in [key for key, (kept, _) in states.items() if kept == position]:
            del states[key]
        if not states:
            self._states.pop(profile_id, None)
        if self._restrictions.get(profile_id) == position:
            del self._restrictions[profile_id]


def _only_denies(subject: ledger_pb2.SubjectState) -> bool:
    if not (subject.states or subject.HasField("restriction")):
        return False
    restriction_denies = subject.restriction.in_force or not subject.HasField("restriction")
    return restriction_denies and all(is_negative(state.status) for state in subject.states)


def _ids(change: ledger_pb2.LedgerChange, subject: ledger_pb2.SubjectState) -> set[str]:
    """The profile, and the id the caller named: the replica may not know yet that one stands for the other."""
    if subject.profile_id == change.current_id and change.named_id:
        return {subject.profile_id, change.named_id}
    return {subject.profile_id}
