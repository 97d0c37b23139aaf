"""What the ways in need of the technology behind them; bootstrap hands it to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport_chassis.authored import Version, VersionState
from rapport_chassis.database.pool import Connection
from rapport_chassis.signing import PublicKey
from rapport_privacy.decision import Decision
from rapport_privacy.ports import LedgerHead

from rapport_consent.app.import_consents import ImportingUnit
from rapport_consent.app.ledger import Token
from rapport_consent.app.raise_fence import BlankingUnit
from rapport_consent.app.read_ledger import Reading
from rapport_consent.app.restores import Restore, Verdict
from rapport_consent.domain.notices import Notice
from rapport_consent.domain.purposes import Purpose, PurposeTerms


class PurposeVersions(Protocol):
    """Authored versions of purposes."""

    async def draft(self, purpose_id: str, terms: PurposeTerms, *, actor: str, now: datetime) -> Version:
        """Add a version, without effect yet."""
        ...

    async def terms(self, purpose_id: str) -> list[PurposeTerms]:
        """Return the terms of every version, drafts included, oldest first."""
        ...

    async def activate(
        self, purpose_id: str, version: int, *, active_from: datetime | None, actor: str, reason: str, now: datetime
    ) -> Version:
        """Put a drafted version in force from a time on."""
        ...

    async def retire(self, purpose_id: str, *, actor: str, reason: str, now: datetime) -> Version:
        """Take every version out of force and return the latest of them."""
        ...

    async def purpose(self, purpose_id: str) -> Purpose:
        """Return a purpose as this transaction leaves it."""
        ...

    async def page(
        self, purpose_id: str, state: VersionState | None, after: tuple[str, int], limit: int
    ) -> Sequence[Version]:
        """Return versions by purpose and version, those after the given one."""
        ...


class LedgerUnit(ImportingUnit, BlankingUnit, Protocol):
    """One transaction on the ledger, with the versions that purposes and notices have in it."""

    connection: Connection

    @property
    def versions(self) -> PurposeVersions:
        """Versions of purposes."""
        ...

    async def publish(self, notice: Notice, *, reason: str) -> Notice:
        """Publish the next version of a notice and return it with its number."""
        ...

    async def restores(self) -> Sequence[Restore]:
        """Return restores of the ledger, the newest first."""
        ...

    async def decide_restore(self, restored_at: datetime, decision: Verdict, *, actor: str, now: datetime) -> Restore:
        """Decide about grants that are in doubt since a restore."""
        ...


class LedgerStore(Protocol):
    """Opens transactions on the ledger."""

    def unit(self) -> AbstractAsyncContextManager[LedgerUnit]:
        """Give a transaction: committed at the end of the block, rolled back on an error."""
        ...

    def unit_on(self, connection: Connection) -> LedgerUnit:
        """Give a unit inside a transaction that somebody else commits, such as a consumer's."""
        ...

    async def oldest_unpublished_s(self) -> float:
        """Return for how many seconds the oldest event has waited to be published; 0 if none waits."""
        ...


class Authority(Protocol):
    """Answers from the ledger itself."""

    async def read(self, profile_id: str) -> Reading:
        """Return the rows about a person."""
        ...

    async def check(self, entry: consent_pb2.CheckEntry, at_least: Token | None) -> Decision:
        """Answer whether an effect is allowed now."""
        ...


class Heads(Protocol):
    """Reads the head of the ledger."""

    async def read(self) -> LedgerHead:
        """Return the committed head, read after this call began."""
        ...


class LedgerFeed(Protocol):
    """Reads changes and snapshots for replicas."""

    async def after(self, position: int, limit: int, epoch: str) -> list[ledger_pb2.LedgerChange]:
        """Return at most `limit` changes that follow a position, gap-free."""
        ...

    def stream(self) -> AsyncIterator[consent_pb2.StreamSnapshotResponse]:
        """Iterate over a snapshot."""
        ...


class SignedReceipt(Protocol):
    """A receipt with its signature."""

    @property
    def document(self) -> bytes:
        """Canonical JSON."""

    @property
    def signature(self) -> bytes:
        """Signature over exactly these bytes."""

    @property
    def kid(self) -> str:
        """The key that made it."""


class Receipts(Protocol):
    """Issues receipts."""

    async def signed(self, receipt_id: str) -> SignedReceipt:
        """Return a receipt."""
        ...

    def public_keys(self) -> Sequence[PublicKey]:
        """Return the keys that verify receipts, newest first."""
        ...


class Log(Protocol):
    """The transparency log."""

    async def proof(self, name: str) -> str:
        """Return the proof that something is logged, with what opens it; empty where there is none."""
        ...
