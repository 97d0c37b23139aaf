"""Loading the whole state of a ledger."""

from rapport.consent.v1 import consent_pb2

from rapport_privacy.contents import Contents


class SnapshotIncompleteError(Exception):
    """A snapshot without a header, without a trailer, or with other counts than its trailer says."""


class SnapshotLoad:
    """Takes the messages of one snapshot: header, chunks, trailer.

    Attributes:
        epoch: Epoch of the ledger.
        position: The snapshot holds the ledger exactly up to here.
        contents: Subjects and purposes.
        fences: Fenced ids.
    """

    def __init__(self) -> None:
        self.epoch = ""
        self.position = 0
        self.contents = Contents()
        self.fences: set[str] = set()
        self._counts = [0, 0]
        self._complete = False

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

    def _take_chunk(self, chunk: consent_pb2.SnapshotChunk) -> None:
        for subject in chunk.subjects:
            self.contents.replace(subject)
        self.contents.put_purposes(chunk.purposes)
        self.fences.update(fence.profile_id for fence in chunk.fences)
        self._counts[0] += len(chunk.subjects)
        self._counts[1] += len(chunk.fences)

    def _check(self, trailer: consent_pb2.SnapshotTrailer) -> None:
        if self._counts != [trailer.subjects, trailer.fences]:
            raise SnapshotIncompleteError("the snapshot holds other counts than its trailer says")
