"""Loading the whole state of a ledger."""

from rapport.consent.v1 import consent_pb2

from rapport_privacy.columns import pack_fences
from rapport_privacy.contents import Contents
from rapport_privacy.fences import Fences
from rapport_privacy.packing import Packer


class SnapshotIncompleteError(Exception):
    """A snapshot without a header, without a trailer, or with other counts than its trailer says."""


class SnapshotLoad:
    """Takes the messages of one snapshot: header, chunks, trailer. Subjects go into columns as they come.

    Attributes:
        epoch: Epoch of the ledger.
        position: The snapshot holds the ledger exactly up to here.
    """

    def __init__(self) -> None:
        self.epoch = ""
        self.position = 0
        self._contents = Contents()
        self._fences = Fences()
        self._packer: Packer | None = Packer()
        self._counts = [0, 0]
        self._complete = False

    def __len__(self) -> int:
        return self._counts[0]

    @property
    def contents(self) -> Contents:
        """Subjects and purposes; packed when first asked for."""
        self.pack()
        return self._contents

    @property
    def fences(self) -> Fences:
        """Fenced ids; packed when first asked for."""
        self.pack()
        return self._fences

    def take(self, message: consent_pb2.StreamSnapshotResponse) -> None:
        """Take the next message.

        Raises:
            SnapshotIncompleteError: It is not the one that can come next, or the counts differ.
        """
        kind = message.WhichOneof("message")
        if self._complete or (kind == "header") != (not self.epoch):
            raise SnapshotIncompleteError("the messages of the snapshot are not in order")
        if kind == "header":
            self.epoch = message.header.position.epoch
            self.position = message.header.position.position
        elif kind == "chunk":
            self._take_chunk(message.chunk)
        elif kind == "trailer":
            self._check(message.trailer)
            self._complete = True

    def complete(self) -> None:
        """Make sure that the trailer has come.

        Raises:
            SnapshotIncompleteError: It has not.
        """
        if not self._complete:
            raise SnapshotIncompleteError("the snapshot ended before its trailer")

    def pack(self) -> None:
        """Build what the messages held: about a second for a million subjects, on any thread. Nothing may follow."""
        if self._packer is None:
            return
        packer, self._packer = self._packer, None
        packed = packer.build()
        self._contents.block = packed.block
        for subject in packed.rest:
            self._contents.recent.setdefault(subject.profile_id, subject)
        self._contents.kept = len(self._contents.recent)
        self._fences = pack_fences(self._fences.packed, self._fences.recent)

    def _take_chunk(self, chunk: consent_pb2.SnapshotChunk) -> None:
        assert self._packer is not None, "a snapshot that was packed takes no more"
        for subject in chunk.subjects:
            if subject.profile_id in self._contents.recent or not self._packer.take_message(subject):
                self._contents.replace(subject)
        self._contents.put_purposes(chunk.purposes)
        self._fences.update(fence.profile_id for fence in chunk.fences)
        self._counts[0] += len(chunk.subjects)
        self._counts[1] += len(chunk.fences)

    def _check(self, trailer: consent_pb2.SnapshotTrailer) -> None:
        if self._counts != [trailer.subjects, trailer.fences]:
            raise SnapshotIncompleteError("the snapshot holds other counts than its trailer says")
