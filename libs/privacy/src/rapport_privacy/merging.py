"""Packs what has changed, in the background."""

import asyncio
from collections.abc import Iterator
from typing import Final

from rapport_privacy.audience import PackedIds
from rapport_privacy.columns import pack_fences
from rapport_privacy.contents import NOT_RECENT, Contents
from rapport_privacy.fences import Fences
from rapport_privacy.packing import Packer
from rapport_privacy.replica import Replica
from rapport_privacy.state import Subject

_AT_ONCE: Final = 2_000  # entries given up between two turns of the loop


async def merge(replica: Replica) -> None:
    """Pack what a replica holds in dictionaries: in a thread, but for moments. It may change meanwhile."""
    work = Merge(replica.contents, replica.fences)
    await asyncio.to_thread(work.pack)
    for _ in work.finish():
        await asyncio.sleep(0)


class Merge:
    """One merge of contents and fences: begun and finished on the thread that changes them, packed on any.

    It takes a copy of the dictionary, whose subjects never change, and builds a block of them and of what the
    dictionary does not hide in the block before. Once the new block lies below, an entry of the copy may go from the
    dictionary if it is still the same: until then, and for all that has changed meanwhile, the dictionary hides the
    block as ever. So nobody sees a difference at any moment.
    """

    def __init__(self, contents: Contents, fences: Fences) -> None:
        self._contents = contents
        self._fences = fences
        self._block = contents.block
        self._taken = dict(contents.recent)
        self._earlier_fences = fences.packed
        self._raised = frozenset(fences.recent)

    def pack(self) -> None:
        """Build the new block and the new fences."""
        fences = self._new_fences = pack_fences(self._earlier_fences, self._raised)
        packer = Packer(self._block)
        settled = {
            profile_id: subject
            for profile_id, subject in self._taken.items()
            if subject is None or self._is_erased(subject) or packer.take(subject)
        }
        hidden = (PackedIds.of(self._taken), PackedIds.from_keys(fences.packed), PackedIds.of(fences.recent))
        self._packed = packer.build(without=hidden)
        left = {subject.profile_id for subject in self._packed.rest}
        self._settled = [(profile_id, subject) for profile_id, subject in settled.items() if profile_id not in left]
        self._kept = len(self._taken.keys() | left) - len(self._settled)

    def finish(self) -> Iterator[None]:
        """Take over what was packed, a part at each step; all are right after each."""
        contents, fences = self._contents, self._fences
        contents.block = self._packed.block
        for left in self._packed.rest:
            contents.recent.setdefault(left.profile_id, left)
        contents.kept = self._kept
        fences.packed, fences.kept = self._new_fences.packed, self._new_fences.kept
        fences.recent = self._new_fences.recent | (fences.recent - self._raised)
        yield
        for start in range(0, len(self._settled), _AT_ONCE):
            for profile_id, subject in self._settled[start : start + _AT_ONCE]:
                if contents.recent.get(profile_id, NOT_RECENT) is subject:
                    del contents.recent[profile_id]
            yield

    def _is_erased(self, subject: Subject) -> bool:
        """True if nothing of a subject is ever asked for again."""
        return not subject.redirect_ids and subject.profile_id in self._new_fences
