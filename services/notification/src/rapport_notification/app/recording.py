"""Use case: keep what came of attempts, many at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

from rapport_chassis.background import Background
from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.ids import new_id
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.telemetry.metrics import Counter

from rapport_notification.app.ledger import Step
from rapport_notification.app.messages import COMMITTED, FALLBACK, REFUNDED, AttemptRow, Stored
from rapport_notification.app.sending import Result, SendBook, SendStore
from rapport_notification.app.times import micros_of
from rapport_notification.domain import ledger
from rapport_notification.domain.entries import Entry, State, StepRefusedError
from rapport_notification.domain.suppression import Suppressed, Suppression
from rapport_notification.domain.vocabulary import SECOND_US, Channel
from rapport_notification.sending.outcome import Handed, Outcome
from rapport_notification.sending.providers import back_off_s

MOST_ATTEMPTS: Final = 30
"""After so many a message that never expires is given up."""

_AT_ONCE: Final = 100
_AGAIN_S: Final = 0.5
_GATHER_S: Final = 0.01
_SENT, _NOT_SENT, _UNKNOWN = 1, 2, 3
HARD_BOUNCE, SOFT_BOUNCE, REFUSED, UNKNOWN_OUTCOME, UNREACHABLE = 1, 2, 3, 4, 5
"""What an attempt failed of: numbers of the contract."""


class Recorder(Background):
    """Keeps results in groups; while the database is away it keeps them in memory and goes on trying.

    Should the process end before, the messages are in doubt: their intents are in the ledger.

    Args:
        store: Where messages are.
        counted: Counts what came of attempts, by channel and outcome.
        clock: Paces.
    """

    name = "outcomes"
    role: Literal["events"] = "events"

    def __init__(self, store: SendStore, counted: Counter, clock: Clock) -> None:
        self._store = store
        self._counted = counted
        self._clock = clock
        self._waiting: list[tuple[Result, asyncio.Future[None]]] = []
        self._added = asyncio.Event()

    async def keep(self, result: Result) -> None:
        """Return once a result is kept."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((result, kept))
        self._added.set()
        await kept

    async def run(self) -> None:
        """Keep what comes, in groups."""
        while True:
            await self._added.wait()
            self._added.clear()
            await asyncio.sleep(_GATHER_S)  # of the machine, not of the clock: others that come at once go with it
            await self._write_all()

    async def stop(self) -> None:
        """Keep what is left."""
        await super().stop()
        if self._waiting:
            await self._write_all(tries=3)

    async def _write_all(self, tries: int = 0) -> None:
        most = _AT_ONCE
        while self._waiting:
            group = self._waiting[:most]
            try:
                async with self._store.book() as book:
                    await record(book, [result for result, _ in group], micros_of(self._clock.now()))
            except RapportError as error:
                get_logger().warning("outcomes_not_kept", component=self.name, reason=error.reason.name)
                tries -= 1
                if tries == 0:
                    return
                await self._clock.sleep(_AGAIN_S)
                continue
            except Exception as fault:
                get_logger().error("outcomes_not_kept", component=self.name, exc_info=fault)
                if len(group) > 1:
                    most = 1  # one that cannot be kept takes no other with it
                    continue
            del self._waiting[: len(group)]
            for result, kept in group:
                self._counted.of(Channel(result.attempt.channel).name, result.outcome.handed.value).add()
                if not kept.done():
                    kept.set_result(None)


async def record(book: SendBook, results: Sequence[Result], now_us: int) -> None:
    """Keep what came of attempts: whatever the ledger says meanwhile, a late answer is evidence."""
    current = {each.notification_id: each for each in await book.hold([r.stored.notification_id for r in results])}
    steps = []
    for result in results:
        found = current.get(result.stored.notification_id)
        if found is None:
            continue  # erased meanwhile
        if (step := _step(found, result, now_us)) is not None:
            steps.append(step)
            current[found.notification_id] = step.after
            follower = _follower(step.after, now_us)
            if follower is not None and await book.add(follower):
                steps.append(Step(follower.entry, follower, now_us, new=True))
        if _is_hard(result.outcome) and result.attempt.address_hash:
            given_up = Suppression(Suppressed.HARD, now_us)
            await book.suppress(result.attempt.address_hash, Channel(result.attempt.channel), given_up)
    await book.take(steps)


def _step(found: Stored, result: Result, now_us: int) -> Step | None:
    entry, outcome = found.entry, result.outcome
    ours = entry.attempt == result.attempt.attempt and entry.fence == result.stored.entry.fence
    try:
        if ours:
            after = _after(entry, result, now_us)
        elif outcome.handed is Handed.SENT:
            after = ledger.settled_as_sent(entry, result.attempt.attempt)
        else:
            return None
    except StepRefusedError:
        return None
    tried = found.tried
    if outcome.handed is Handed.REFUSED and result.others and found.channel is not None:
        tried = (*tried, found.channel)
    changed = replace(found.stepped(after, now_us), tried=tried, look_us=now_us)
    if outcome.handed is Handed.SENT and not ours:
        return Step(entry, changed, now_us, ended=_ended(result, now_us))
    return Step(entry, changed, now_us, ended=_ended(result, now_us), failure=_failure(outcome))


def _follower(sent: Stored, now_us: int) -> Stored | None:
    """Return the message that says the same on the channels that are left, should this one not be noticed in time."""
    ask, used = sent.ask, {sent.channel, *sent.tried}
    left = tuple(wish for wish in ask.channels if wish.channel not in used)
    due_us = now_us + ask.fallback_us
    if sent.entry.state is not State.SENT or not ask.fallback_us or not left:
        return None
    if ask.expires_us is not None and due_us >= ask.expires_us:
        return None
    cause = f"{FALLBACK}{sent.notification_id}"
    again = replace(ask, channels=left, cause=cause, not_before_us=due_us, about_us=ask.about_us + 1)
    entry = Entry(ask.message_class, due_us=due_us, expires_us=ask.expires_us)
    return Stored(
        new_id("notification"),
        again,
        sent.template_brand,
        sent.template_version,
        new_id("decision"),
        now_us,
        entry,
        traceparent=sent.traceparent,
    )


def _after(entry: Entry, result: Result, now_us: int) -> Entry:
    outcome, fence = result.outcome, entry.fence
    if outcome.handed is Handed.SENT:
        return ledger.sent(entry, fence)
    if outcome.handed is Handed.UNKNOWN:
        return ledger.unknown(entry, fence)
    if outcome.handed is Handed.WITHDRAWN:
        return ledger.not_sent(entry, fence, now_us)
    if outcome.handed is Handed.REFUSED:
        return ledger.not_sent(entry, fence, now_us if result.others else None)
    if entry.attempt >= MOST_ATTEMPTS:
        return ledger.not_sent(entry, fence, None)
    if result.another_provider and outcome.handed is Handed.UNREACHABLE:
        return ledger.not_sent(entry, fence, now_us)
    wait_s = outcome.retry_after_s or back_off_s(entry.attempt, random.random)
    return ledger.not_sent(entry, fence, now_us + round(wait_s * SECOND_US))


def _ended(result: Result, now_us: int) -> AttemptRow:
    outcome = result.outcome
    went = {Handed.SENT: _SENT, Handed.UNKNOWN: _UNKNOWN}.get(outcome.handed, _NOT_SENT)
    return result.attempt._replace(
        ended_us=now_us,
        outcome=went,
        code=outcome.code,
        status=outcome.status,
        reference=outcome.reference,
        place_state=REFUNDED if went == _NOT_SENT else COMMITTED,
    )


def _failure(outcome: Outcome) -> int:
    if outcome.handed is Handed.REFUSED:
        return HARD_BOUNCE if _is_hard(outcome) else REFUSED
    return {
        Handed.UNKNOWN: UNKNOWN_OUTCOME,
        Handed.DEFERRED: SOFT_BOUNCE,
        Handed.UNREACHABLE: UNREACHABLE,
    }.get(outcome.handed, 0)


def _is_hard(outcome: Outcome) -> bool:
    """Say whether a refusal is about the address: it does not exist."""
    return outcome.handed is Handed.REFUSED and outcome.status.startswith("5.1.")
