"""What a ledger holds at one position: subjects and purposes, changed in the order of positions only."""

from collections.abc import Iterable

from rapport.consent.v1 import ledger_pb2

from rapport_privacy import translate
from rapport_privacy.state import Key, KeyState, Purposes, Subject


class Contents:
    """Subjects by every id that stands for them, and purposes.

    Folding the same change twice does no harm, so one that failed half-way can be folded again.

    Attributes:
        subjects: The subject of each id; an absorbed id leads to the very object of its survivor.
        purposes: Purposes by id; a new mapping whenever one changes, so that a reader sees it by identity.
    """

    __slots__ = ("_keys", "purposes", "subjects")

    def __init__(self) -> None:
        self.subjects: dict[str, Subject] = {}
        self.purposes: Purposes = {}
        self._keys: dict[Key, Key] = {}

    def fold(self, change: ledger_pb2.LedgerChange) -> None:
        """Apply the change that follows the last one."""
        for message in change.subjects:
            if message.whole:
                self.replace(message)
            else:
                self._update(message)
        self.put_purposes(change.purposes)
        for fence in change.fences:
            self.subjects.pop(fence.profile_id, None)

    def replace(self, message: ledger_pb2.SubjectState) -> None:
        """Set the whole state of a profile: what is not listed does not exist, redirects included."""
        profile_id = message.profile_id
        before = self.subjects.get(profile_id)
        if before is not None and before.profile_id == profile_id:
            for absorbed_id in before.redirect_ids:
                if self.subjects.get(absorbed_id) is before:
                    del self.subjects[absorbed_id]
        after = Subject(
            profile_id=profile_id,
            redirect_ids=tuple(message.redirect_ids),
            states=self._states(message.states),
            restriction=translate.restriction(message.restriction),
        )
        self.subjects[profile_id] = after
        for absorbed_id in after.redirect_ids:
            self.subjects[absorbed_id] = after

    def put_purposes(self, messages: Iterable[ledger_pb2.PurposeState]) -> None:
        """Set the whole state of some purposes."""
        changed = {message.purpose_id: translate.purpose(message) for message in messages}
        if changed:
            self.purposes = {**self.purposes, **changed}

    def _update(self, message: ledger_pb2.SubjectState) -> None:
        subject = self.subjects.get(message.profile_id)
        if subject is None:
            subject = self.subjects[message.profile_id] = Subject(message.profile_id)
        subject.states.update(self._states(message.states))
        if message.HasField("restriction"):
            subject.restriction = translate.restriction(message.restriction)

    def _states(self, messages: Iterable[ledger_pb2.KeyState]) -> dict[Key, KeyState]:
        # There are few keys and many subjects: all share one tuple per key.
        keys = self._keys
        return {
            keys.setdefault(key, key): translate.key_state(message)
            for message in messages
            for key in (translate.key_of(message),)
        }
