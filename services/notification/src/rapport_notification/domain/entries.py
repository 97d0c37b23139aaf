"""One message in the send ledger: where it stands, what is known of it, and the times that bound it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from rapport_notification.domain.vocabulary import DropReason, HoldReason, MessageClass


class State(IntEnum):
    """Where a message stands."""

    ACCEPTED = 1
    HELD = 2
    INTENT = 3
    SENT = 4
    UNKNOWN = 5
    SETTLED = 6
    DROPPED = 7
    FAILED = 8
    CANCELLED = 9
    SUPERSEDED = 10


WAITING: Final = frozenset({State.ACCEPTED, State.HELD})
"""Nothing of it can have left."""
IN_DOUBT: Final = frozenset({State.INTENT, State.UNKNOWN})
"""Something of it may have left."""
FINAL: Final = frozenset(State) - WAITING - IN_DOUBT
"""Nothing more is sent."""


class Verdict(IntEnum):
    """What is known of a message that was in doubt."""

    SENT = 1
    AMBIGUOUS = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """Times that workers and recovery share, in microseconds.

    Attributes:
        lease_us: How long a claim holds.
        transfer_us: How long a send may take from its beginning, time-outs of the connection included.
        margin_us: What clocks of two machines may differ by, and more.
    """

    lease_us: int = 120_000_000
    transfer_us: int = 60_000_000
    margin_us: int = 5_000_000

    def __post_init__(self) -> None:
        if not 0 < self.transfer_us + self.margin_us < self.lease_us:
            raise ValueError("a lease outlasts a transfer and the margin")


@dataclass(frozen=True, slots=True)
class Entry:
    """One message in the ledger.

    Attributes:
        message_class: What its class allows.
        state: Where it stands.
        fence: Grows with each claim; each write names the one it was claimed with.
        attempt: Sends begun so far.
        series: Sends that share one idempotency key have one series; it grows when the last outcome is certain.
        due_us: Not to be claimed before.
        expires_us: Not to be sent from then on; None for never too late.
        leased_until_us: Until when the claim holds; 0 where there is none.
        provider: Where the last attempt went; a send that repeats it in doubt goes there again.
        begun_us: When the last attempt began.
        series_us: When the first attempt of the series began: the provider knows the key from then on.
        repeat_until_us: The next attempt repeats one in doubt, with its key, at its provider, if it begins before; 0
            where it repeats none.
        verdict: Of a settled one.
        hold: Why it waits.
        drop: Why it is not sent.
        ending: It was taken back while in doubt: what it becomes, should it turn out not to have gone.
    """

    message_class: MessageClass
    state: State = State.ACCEPTED
    fence: int = 0
    attempt: int = 0
    series: int = 1
    due_us: int = 0
    expires_us: int | None = None
    leased_until_us: int = 0
    provider: str = ""
    begun_us: int = 0
    series_us: int = 0
    repeat_until_us: int = 0
    verdict: Verdict | None = None
    hold: HoldReason | None = None
    drop: DropReason | None = None
    ending: State | None = None

    @property
    def repeating(self) -> bool:
        """Whether the next attempt repeats one in doubt."""
        return self.repeat_until_us > 0


class StepRefusedError(Exception):
    """The entry has moved on, or is not where this step begins. Nothing was changed; read it again."""
