"""rapport.consent.v1.TransparencyService over gRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from rapport.consent.v1 import transparency_pb2, transparency_pb2_grpc
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_privacy.log_proofs import Opening
from rapport_privacy.notes import NoteKey

from rapport_consent.domain.errors import ERRORS

_PAGE: Final = 500
_MOST: Final = 1_000
_ROWS: Final = 1_000
_MOST_ROWS: Final = 5_000


class Head(Protocol):
    """A tree."""

    @property
    def size(self) -> int:
        """Number of its leaves."""

    @property
    def root(self) -> bytes:
        """Its root."""


class Inclusion(Protocol):
    """A leaf with all that proves that it is in a tree."""

    @property
    def index(self) -> int:
        """Its place."""

    @property
    def leaf(self) -> bytes:
        """The leaf."""

    @property
    def hashes(self) -> Sequence[bytes]:
        """From its sibling up."""

    @property
    def head(self) -> Head:
        """The tree."""

    def proof(self, opening: Opening | None = None) -> str:
        """Return the proof as one text."""
        ...


class Placed(Protocol):
    """Something that is logged."""

    @property
    def index(self) -> int:
        """Place of its leaf."""

    @property
    def opening(self) -> Opening:
        """What the leaf commits to."""


class Log(Protocol):
    """The transparency log."""

    @property
    def origin(self) -> str:
        """Its name."""

    def verifier_keys(self) -> Sequence[NoteKey]:
        """Return the keys that verify its checkpoints."""
        ...

    async def checkpoint(self, size: int = 0) -> tuple[Head, str]:
        """Return a tree and its signed note."""
        ...

    async def cosign(self, text: str) -> tuple[Head, str]:
        """Take in what a witness has signed."""
        ...

    async def placed(self, name: str) -> Placed | None:
        """Return what is logged under a reference."""
        ...

    async def inclusion(self, index: int, size: int = 0) -> Inclusion:
        """Return a leaf with all that proves that it is in a tree."""
        ...

    async def consistency(self, smaller: int, size: int = 0) -> tuple[Head, Sequence[bytes], str]:
        """Return a tree, the hashes that prove that it continues a smaller one, and its signed note."""
        ...

    async def leaves(self, start: int, limit: int) -> tuple[Head, Sequence[bytes]]:
        """Return the head, and leaves from a place on."""
        ...


class Comparison(Protocol):
    """How the comparison of ledger and log went."""

    @property
    def compared(self) -> int:
        """Rows compared."""

    @property
    def blanked(self) -> int:
        """Rows that were blanked."""

    @property
    def faults(self) -> Sequence[tuple[int, str]]:
        """Positions, and what is wrong there."""

    @property
    def next_position(self) -> int:
        """Where to go on."""


@dataclass(frozen=True)
class TransparencyServicer(transparency_pb2_grpc.TransparencyServiceServicer):
    """Shows the log and proves what it says.

    Attributes:
        log: The log.
        compare: Compares rows of the ledger, after a position, with the log.
    """

    log: Log
    compare: Callable[[int, int], Awaitable[Comparison]]

    async def GetCheckpoint(
        self, request: transparency_pb2.GetCheckpointRequest, context: Context
    ) -> transparency_pb2.Checkpoint:
        """Return the signed head of the log."""
        return self._checkpoint(*await self.log.checkpoint(request.tree_size))

    async def AddCosignature(
        self, request: transparency_pb2.AddCosignatureRequest, context: Context
    ) -> transparency_pb2.Checkpoint:
        """Take in what a witness has signed."""
        return self._checkpoint(*await self.log.cosign(request.note))

    async def GetInclusionProof(
        self, request: transparency_pb2.GetInclusionProofRequest, context: Context
    ) -> transparency_pb2.InclusionProof:
        """Prove that something is in the log."""
        opening, index = None, request.index
        if request.WhichOneof("entry") == "reference":
            placed = await self.log.placed(request.reference)
            if placed is None:
                raise ERRORS.error("LOG_INDEX_UNKNOWN", "nothing that can be opened is logged there", field="reference")
            opening, index = placed.opening, placed.index
        found = await self.log.inclusion(index, request.tree_size)
        return transparency_pb2.InclusionProof(
            index=found.index,
            tree_size=found.head.size,
            root_hash=found.head.root,
            leaf=found.leaf,
            hashes=found.hashes,
            proof=found.proof(opening),
        )

    async def GetConsistencyProof(
        self, request: transparency_pb2.GetConsistencyProofRequest, context: Context
    ) -> transparency_pb2.ConsistencyProof:
        """Prove that the log only grew."""
        head, hashes, note = await self.log.consistency(request.from_size, request.tree_size)
        return transparency_pb2.ConsistencyProof(
            from_size=request.from_size, tree_size=head.size, root_hash=head.root, hashes=hashes, note=note
        )

    async def ListEntries(
        self, request: transparency_pb2.ListEntriesRequest, context: Context
    ) -> transparency_pb2.ListEntriesResponse:
        """List leaves."""
        head, leaves = await self.log.leaves(request.start, min(request.page_size or _PAGE, _MOST))
        return transparency_pb2.ListEntriesResponse(leaves=leaves, tree_size=head.size)

    async def VerifyLedger(
        self, request: transparency_pb2.VerifyLedgerRequest, context: Context
    ) -> transparency_pb2.VerifyLedgerResponse:
        """Compare the ledger with the log."""
        found = await self.compare(request.after_position, min(request.page_size or _ROWS, _MOST_ROWS))
        return transparency_pb2.VerifyLedgerResponse(
            compared=found.compared,
            blanked=found.blanked,
            faults=[transparency_pb2.LedgerFault(position=position, fault=what) for position, what in found.faults],
            next_position=found.next_position,
        )

    def _checkpoint(self, head: Head, note: str) -> transparency_pb2.Checkpoint:
        return transparency_pb2.Checkpoint(
            note=note,
            origin=self.log.origin,
            tree_size=head.size,
            root_hash=head.root,
            verifier_keys=map(str, self.log.verifier_keys()),
        )
