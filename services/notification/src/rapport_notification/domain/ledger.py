"""The send ledger: the life of one message, as states and the only ways from one to the next.

    accepted <-> held -> intent -> sent
                            |----> accepted (known not to have gone), failed
                            '----> unknown -> settled, or accepted again
    accepted, held -> dropped, cancelled, superseded

A step is a function from an entry to the next one; storage applies it by compare-and-set on (state, fence): whoever
read an entry that has changed since finds its write refused, never overwriting. The fence grows with each claim, so a
worker that was stopped for an hour and wakes up holds a number that no write accepts any more.

An intent is written before the first byte that a peer could act on. A worker begins a send only while `may_begin`
holds, and gives up on it after `Limits.transfer_us`; what nobody reported by then is unknown, for ever after the time
at which a byte of it could still leave. That is why a peer's "never seen" is believed only from `settles_from` on.

How an unknown outcome is settled depends on what the peer can do and on what the class allows: see `resolution`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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


def claim(entry: Entry, now_us: int, limits: Limits) -> Entry:
    """Take a waiting message for one worker, whose number is the new fence.

    Raises:
        StepRefusedError: It is not waiting, not due, or another claim holds.
    """
    _require(entry.state in WAITING and entry.due_us <= now_us and entry.leased_until_us <= now_us)
    return replace(entry, fence=entry.fence + 1, leased_until_us=now_us + limits.lease_us)


def put_off(entry: Entry, fence: int, until_us: int, reason: HoldReason) -> Entry:
    """Let a claimed message wait.

    Raises:
        StepRefusedError: The claim was lost.
    """
    _require_claim(entry, fence)
    return replace(entry, state=State.HELD, due_us=until_us, hold=reason, leased_until_us=0)


def drop(entry: Entry, fence: int, reason: DropReason) -> Entry:
    """End a claimed message without sending it; one that would repeat an attempt in doubt is in doubt again.

    Raises:
        StepRefusedError: The claim was lost.
    """
    _require_claim(entry, fence)
    if entry.repeating:
        return replace(_doubted(entry), ending=entry.ending or State.DROPPED, drop=reason)
    return _ended(entry, State.DROPPED, drop=reason)


def stop_repeating(entry: Entry, fence: int) -> Entry:
    """Give up a claimed repeat, whose key the provider will have forgotten.

    Raises:
        StepRefusedError: The claim was lost, or it repeats nothing.
    """
    _require_claim(entry, fence)
    _require(entry.repeating)
    return _doubted(entry)


def may_begin(entry: Entry, fence: int, now_us: int, limits: Limits) -> bool:
    """Say whether a send can still end within the claim; asked again right before the first byte."""
    over_us = now_us + limits.transfer_us + limits.margin_us
    alive = entry.expires_us is None or now_us < entry.expires_us
    in_time = over_us <= entry.leased_until_us and (not entry.repeating or over_us <= entry.repeat_until_us)
    return entry.fence == fence and alive and in_time


def begin(entry: Entry, fence: int, now_us: int, limits: Limits, provider: str) -> Entry:
    """Write the intent to hand a message to a provider.

    Raises:
        StepRefusedError: The claim was lost or runs out too soon, the message is too old, or it repeats an attempt in
            doubt and this is another provider.
    """
    _require_claim(entry, fence)
    _require(may_begin(entry, fence, now_us, limits))
    _require(not entry.repeating or provider == entry.provider)
    return replace(
        entry,
        state=State.INTENT,
        attempt=entry.attempt + 1,
        provider=provider,
        begun_us=now_us,
        series_us=entry.series_us if entry.repeating else now_us,
        hold=None,
    )


def sent(entry: Entry, fence: int) -> Entry:
    """Record that the peer took it.

    Raises:
        StepRefusedError: The intent is not this worker's any more; tell `settled_as_sent` instead.
    """
    _require_intent(entry, fence)
    return _ended(entry, State.SENT)


def not_sent(entry: Entry, fence: int, retry_us: int | None) -> Entry:
    """Record that the peer certainly did not take it.

    Args:
        entry: The entry.
        fence: Of the claim.
        retry_us: When to try again; None for never.

    Raises:
        StepRefusedError: The intent is not this worker's any more.
    """
    _require_intent(entry, fence)
    # A repeat's refusal says nothing of the attempt it repeats: that one may have gone.
    if entry.repeating:
        return _doubted(entry)
    if entry.ending is None and retry_us is None:
        return _ended(entry, State.FAILED)
    return _again(entry, retry_us or 0, HoldReason.PROVIDER, repeat_until_us=0)


def unknown(entry: Entry, fence: int) -> Entry:
    """Record that nobody can tell whether the peer took it.

    Raises:
        StepRefusedError: The intent is not this worker's any more.
    """
    _require_intent(entry, fence)
    return _doubted(entry)


def recover(entry: Entry, now_us: int) -> Entry:
    """Take an intent from a worker that did not come back.

    Raises:
        StepRefusedError: It is no intent, or its claim holds.
    """
    _require(entry.state is State.INTENT and entry.leased_until_us <= now_us)
    return replace(_doubted(entry), fence=entry.fence + 1)


def take_back(entry: Entry, ending: State) -> Entry:
    """Cancel or supersede a message: at once while it waits, else as soon as it is known not to have gone.

    A worker that holds a claim on it finds its number too low.

    Args:
        entry: The entry.
        ending: CANCELLED or SUPERSEDED.

    Raises:
        StepRefusedError: It has ended.
    """
    _require(ending in {State.CANCELLED, State.SUPERSEDED} and entry.state not in FINAL)
    if entry.state in IN_DOUBT:
        return replace(entry, ending=entry.ending or ending)
    taken = replace(_doubted(entry), ending=ending) if entry.repeating else _ended(entry, ending)
    return replace(taken, fence=entry.fence + 1)


def settled_as_sent(entry: Entry, attempt: int) -> Entry:
    """Record evidence that an attempt arrived: a late answer, a look-up, a bounce, a line in the relay's log.

    Raises:
        StepRefusedError: It is not in doubt, or the attempt was never made.
    """
    in_doubt = entry.state in IN_DOUBT or (entry.state in WAITING and entry.repeating)
    _require(0 < attempt <= entry.attempt)
    _require(in_doubt or (entry.state is State.SETTLED and entry.verdict is Verdict.AMBIGUOUS))
    settled = _ended(entry, State.SETTLED, verdict=Verdict.SENT)
    return replace(settled, fence=entry.fence + 1)


def settled_as_ambiguous(entry: Entry, fence: int) -> Entry:
    """End a message in doubt that may not be repeated. It is named as such wherever messages are listed.

    Raises:
        StepRefusedError: It is not in doubt any more.
    """
    _require(entry.state is State.UNKNOWN and entry.fence == fence)
    return _ended(entry, State.SETTLED, verdict=Verdict.AMBIGUOUS)


def send_again(entry: Entry, fence: int, *, repeat_until_us: int = 0, due_us: int = 0) -> Entry:
    """Let a message in doubt be sent again.

    Args:
        entry: The entry.
        fence: As read.
        repeat_until_us: With the same key at the same provider, which drops the second: until when it knows the key.
            0 for a new send: the first is known not to have gone, or a second copy is better than none.
        due_us: When.

    Raises:
        StepRefusedError: It is not in doubt any more.
    """
    _require(entry.state is State.UNKNOWN and entry.fence == fence)
    return _again(entry, due_us, None, repeat_until_us=repeat_until_us)


def settles_from(entry: Entry, limits: Limits) -> int:
    """Return from when on no byte of the last attempt can leave any more."""
    return entry.begun_us + limits.transfer_us + limits.margin_us


def _again(entry: Entry, due_us: int, hold: HoldReason | None, *, repeat_until_us: int) -> Entry:
    if entry.ending is not None:
        _require(repeat_until_us == 0)
        return _ended(entry, entry.ending, drop=entry.drop)
    return replace(
        entry,
        state=State.HELD if hold else State.ACCEPTED,
        hold=hold,
        due_us=due_us,
        series=entry.series if repeat_until_us else entry.series + 1,
        repeat_until_us=repeat_until_us,
        leased_until_us=0,
    )


def _doubted(entry: Entry) -> Entry:
    return replace(entry, state=State.UNKNOWN, hold=None, leased_until_us=0, repeat_until_us=0)


def _ended(entry: Entry, state: State, *, verdict: Verdict | None = None, drop: DropReason | None = None) -> Entry:
    return replace(entry, state=state, verdict=verdict, drop=drop, hold=None, leased_until_us=0, repeat_until_us=0)


def _require_claim(entry: Entry, fence: int) -> None:
    _require(entry.state in WAITING and entry.fence == fence and entry.leased_until_us > 0)


def _require_intent(entry: Entry, fence: int) -> None:
    _require(entry.state is State.INTENT and entry.fence == fence)


def _require(holds: bool) -> None:
    if not holds:
        raise StepRefusedError
