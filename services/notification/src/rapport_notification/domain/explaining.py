"""Why a message was sent, or not: everything the decision looked at, sealed when it was made.

A receipt holds what was known at that instant, so a later reader judges the decision by it. Its digest covers the one
before, so none can be changed or taken out unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rapport_notification.domain.vocabulary import Channel, DropReason, HoldReason, MessageClass

FIRST: Final = b"\0" * 32
"""What stands before the first receipt of a message."""


@dataclass(frozen=True, slots=True)
class ConsentSeen:
    """What the gate answered.

    Attributes:
        answer: Its answer, such as "PERMIT".
        basis: The legal basis.
        reason: Why, as a code.
        grant_reference: The record that grants; "" for none.
        epoch: Of the ledger.
        position: In the ledger.
        staleness_us: How old what it knew was.
    """

    answer: str
    basis: str
    reason: str
    grant_reference: str
    epoch: str
    position: int
    staleness_us: int


@dataclass(frozen=True, slots=True)
class CapSeen:
    """A cap that counted the message: what was taken, and how many were allowed."""

    name: str
    day: str
    taken: int
    limit: int


@dataclass(frozen=True, slots=True)
class WindowSeen:
    """Where the person may have been, and when it was open.

    Attributes:
        zones: Zone and country.
        sources: What said so.
        rules: Version of the quiet hours.
        local_times: What the clocks there said.
        is_open: Whether it was open in all.
        opens_at: When it is, if it was not.
    """

    zones: Sequence[tuple[str, str]]
    sources: Sequence[str]
    rules: str
    local_times: Sequence[str]
    is_open: bool
    opens_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """One decision about a message.

    Attributes:
        notification_id: The message.
        decision_id: The decision.
        decided_at: When.
        result: "send", "hold" or "drop".
        message_class: Its class.
        channel: The channel; None where none was chosen.
        hold: Why it waits.
        drop: Why it is not sent.
        consent: What the gate answered; None where the law allows without it.
        preference: The row that said so; None for the category's default.
        suppressed: Why the address was given up; "" if it was not.
        caps: Those that counted it.
        window: Quiet hours; None where the class does not keep them.
        template: Template, version, brand and language.
        channels_expected: What was expected of each channel.
        provider: Chosen provider; "" for none.
        providers_health: What was known of each.
        attempt: The attempt it began; 0 for none.
    """

    notification_id: str
    decision_id: str
    decided_at: datetime
    result: str
    message_class: MessageClass
    channel: Channel | None = None
    hold: HoldReason | None = None
    drop: DropReason | None = None
    consent: ConsentSeen | None = None
    preference: Mapping[str, Any] | None = None
    suppressed: str = ""
    caps: tuple[CapSeen, ...] = ()
    window: WindowSeen | None = None
    template: tuple[str, int, str, str] | None = None
    channels_expected: Mapping[str, float] | None = None
    provider: str = ""
    providers_health: Mapping[str, str] | None = None
    attempt: int = 0

    def canonical(self) -> bytes:
        """Return it in one form for each content: as it is stored and hashed."""
        return json.dumps(_shown(self), sort_keys=True, separators=(",", ":"), default=_plain).encode()


def digest_over(before: bytes, canonical: bytes) -> bytes:
    """Return the digest of a receipt, given in its canonical form, over that of the one before."""
    return hashlib.sha256(before + canonical).digest()


def is_chain(receipts: Iterable[tuple[bytes, bytes]]) -> bool:
    """Say whether receipts are what was sealed, in that order, none left out in between.

    Args:
        receipts: Canonical form and digest, from the first on.
    """
    before = FIRST
    for canonical, digest in receipts:
        if digest_over(before, canonical) != digest:
            return False
        before = digest
    return True


def _shown(held: Receipt | ConsentSeen | CapSeen | WindowSeen) -> dict[str, Any]:
    # `asdict` copies deeply, which takes longer than everything else that is done for a message.
    return {name: getattr(held, name) for name in held.__slots__}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, ConsentSeen | CapSeen | WindowSeen):
        return _shown(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)
