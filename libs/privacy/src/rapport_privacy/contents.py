"""What a ledger holds at one position: subjects and purposes, changed in the order of positions only."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from rapport.consent.v1 import ledger_pb2

from rapport_privacy import translate
from rapport_privacy.packed import Block, empty_block
from rapport_privacy.state import Key, KeyState, Purposes, Subject

NOT_RECENT: Final = Subject("")
"""What a look-up in `Contents.recent` is to answer for an id that is not there: the block knows then."""


class Contents:
    """Subjects by every id that stands for them, and purposes.

    Most subjects are packed in a block, which never changes. Whatever has changed since it was built lies over it in a
    dictionary, and so does what a block cannot hold: merged profiles, restrictions, ids of other forms. `merging` makes
    a new block now and then; what is seen here is the same before, meanwhile and after.

    Folding the same change twice does no harm, so one that failed half-way can be folded again.

    Attributes:
        block: Packed subjects, of which those in `recent` are out of date.
        recent: The subject of each id that the block does not know, or not as it is now; None for one that is gone. An
            absorbed id leads to the very object of its survivor.
        kept: How many entries of `recent` were left when the block was built, because no block can hold them.
        purposes: Purposes by id; a new mapping whenever one changes, so that a reader sees it by identity.
    """

    __slots__ = ("_keys", "block", "kept", "purposes", "recent")

    def __init__(self) -> None:
        self.block: Block = empty_block()
        self.recent: dict[str, Subject | None] = {}
        self.kept = 0
        self.purposes: Purposes = {}
        self._keys: dict[Key, Key] = {}

    @property
    def unpacked(self) -> int:
        """How many entries of the dictionary a new block might hold."""
        return len(self.recent) - self.kept

    @property
    def subjects(self) -> Mapping[str, Subject]:
        """The subject of each id, wherever it is kept."""
        return _Subjects(self)

    def subject(self, profile_id: str) -> Subject | None:
        """Return the subject of an id; None if nothing is known of it."""
        subject = self.recent.get(profile_id, NOT_RECENT)
        if subject is not NOT_RECENT:
            return subject
        return self.block.subject(profile_id)

    def fold(self, change: ledger_pb2.LedgerChange) -> None:
        """Apply the change that follows the last one."""
        for message in change.subjects:
            if message.whole:
                self.replace(message)
            else:
                self._update(message)
        self.put_purposes(change.purposes)
        for fence in change.fences:
            self.recent[fence.profile_id] = None

    def replace(self, message: ledger_pb2.SubjectState) -> None:
        """Set the whole state of a profile: what is not listed does not exist, redirects included."""
        after = Subject(
            profile_id=message.profile_id,
            redirect_ids=tuple(message.redirect_ids),
            states=self._states(message.states),
            restriction=translate.restriction(message.restriction),
        )
        # Only a merged profile has redirects to lose, and no block holds one.
        before = self.recent.get(after.profile_id)
        if before is not None and before.profile_id == after.profile_id:
            for absorbed_id in before.redirect_ids:
                if self.recent.get(absorbed_id) is before:
                    self.recent[absorbed_id] = None
        self.recent[after.profile_id] = after
        for absorbed_id in after.redirect_ids:
            self.recent[absorbed_id] = after

    def put_purposes(self, messages: Iterable[ledger_pb2.PurposeState]) -> None:
        """Set the whole state of some purposes."""
        changed = {message.purpose_id: translate.purpose(message) for message in messages}
        if changed:
            self.purposes = {**self.purposes, **changed}

    def _update(self, message: ledger_pb2.SubjectState) -> None:
        before = self.subject(message.profile_id) or Subject(message.profile_id)
        after = Subject(
            profile_id=before.profile_id,
            redirect_ids=before.redirect_ids,
            states={**before.states, **self._states(message.states)},
            restriction=(
                translate.restriction(message.restriction) if message.HasField("restriction") else before.restriction
            ),
        )
        for profile_id in (message.profile_id, before.profile_id, *before.redirect_ids):
            if profile_id == message.profile_id or self.recent.get(profile_id) is before:
                self.recent[profile_id] = after

    def _states(self, messages: Iterable[ledger_pb2.KeyState]) -> dict[Key, KeyState]:
        # There are few keys and many subjects: all share one tuple per key.
        keys = self._keys
        return {
            keys.setdefault(key, key): translate.key_state(message)
            for message in messages
            for key in (translate.key_of(message),)
        }


class _Subjects(Mapping[str, Subject]):
    """Reads contents as one mapping."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def __getitem__(self, profile_id: str) -> Subject:
        subject = self._contents.subject(profile_id)
        if subject is None:
            raise KeyError(profile_id)
        return subject

    def __iter__(self) -> Iterator[str]:
        recent = self._contents.recent
        yield from (profile_id for profile_id, subject in recent.items() if subject is not None)
        yield from (profile_id for profile_id in self._contents.block.keys if profile_id not in recent)

    def __len__(self) -> int:
        return sum(1 for _ in self)
