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

from dataclasses import replace

from rapport_notification.domain.entries import (
    FINAL,
    IN_DOUBT,
    WAITING,
    Entry,
    Limits,
    State,
    StepRefusedError,
    Verdict,
)
from rapport_notification.domain.vocabulary import DropReason, HoldReason


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
