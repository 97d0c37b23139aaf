"""Steps of messages, with all that is kept and told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from rapport_notification.app.messages import AttemptRow, Stored
from rapport_notification.app.templates import Prepared
from rapport_notification.domain import explaining, ledger
from rapport_notification.domain.entries import FINAL, Entry, State
from rapport_notification.domain.explaining import Receipt


@dataclass(frozen=True, slots=True)
class Step:
    """A step of one message: taken if it still stands where the step begins.

    Attributes:
        before: Where it begins.
        after: The message then.
        at_us: When.
        new: It is taken on by this step.
        begun: The attempt that this step begins.
        ended: The attempt that this step ends.
        receipt: The decision behind it, in its canonical form.
        failure: What an attempt failed of, where one did: the contract's number.
    """

    before: Entry
    after: Stored
    at_us: int
    new: bool = False
    begun: AttemptRow | None = None
    ended: AttemptRow | None = None
    receipt: bytes | None = None
    failure: int = 0


class Book(Protocol):
    """Messages in one transaction."""

    async def lock(self, *names: str) -> None:
        """Have other transactions that lock one of these names wait for this one."""
        ...

    async def writable(self, profile_id: str) -> bool:
        """Say whether a person may still be written about; an erasure waits for this transaction."""
        ...

    async def template(self, template_id: str, brand_id: str) -> Prepared | None:
        """Return the version of a template in force now for a brand, or for all brands; None if there is none."""
        ...

    async def add(self, stored: Stored) -> bool:
        """Keep a new message; False if its recipient has one of its cause."""
        ...

    async def caused(self, recipient_ids: Sequence[str], cause: str) -> Stored | None:
        """Return the message of a cause; None if there is none."""
        ...

    async def hold(self, notification_ids: Sequence[str]) -> list[Stored]:
        """Return messages, which nobody else changes until the transaction ends."""
        ...

    async def same_key(self, recipient_ids: Sequence[str], supersede_key: str) -> list[Stored]:
        """Return a recipient's messages that say the same thing, and hold them."""
        ...

    async def cancellable(self, event: str, fields: Mapping[str, str], recipient_ids: Sequence[str]) -> list[Stored]:
        """Return waiting messages that an event may make pointless, and hold them."""
        ...

    async def take(self, steps: Sequence[Step]) -> list[bool]:
        """Take steps and say of each whether it was still possible."""
        ...


def sealed(stored: Stored, receipt: Receipt) -> tuple[Stored, bytes]:
    """Return a message with one more decision, and that decision as it is kept."""
    canonical = receipt.canonical()
    digest = explaining.digest_over(stored.digest, canonical)
    return replace(stored, digest=digest, receipts=stored.receipts + 1), canonical


def taken_back(stored: Stored, ending: State, now_us: int) -> Step | None:
    """Return the step that takes a message back; None if it has ended, or is taken back already."""
    if stored.entry.state in FINAL or stored.entry.ending is not None:
        return None
    entry = ledger.take_back(stored.entry, ending)
    return Step(stored.entry, stored.stepped(entry, now_us), now_us)
