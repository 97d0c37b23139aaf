"""Use case: something came back of a message. It is attributed, kept once, told, and acted upon as policy says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from rapport_chassis.clock import Clock

from rapport_notification.app.ledger import Step
from rapport_notification.app.messages import AttemptRow, Stored
from rapport_notification.app.times import micros_of
from rapport_notification.app.unsubscribing import Method, Unsubscribing
from rapport_notification.domain import ledger
from rapport_notification.domain.engagement import By, Engagement, Seen
from rapport_notification.domain.entries import StepRefusedError
from rapport_notification.domain.suppression import Feedback, Policy, Suppression, judged
from rapport_notification.domain.vocabulary import Channel
from rapport_notification.sending.bounces import Returned
from rapport_notification.sending.return_path import ReturnPaths

_ARRIVED: Final = frozenset({Feedback.DELIVERED, Feedback.AUTO_REPLY, Feedback.COMPLAINT})
_CAME_BACK: Final = frozenset({Feedback.HARD, Feedback.SOFT})
_SERIES: Final = "."


class Reported(NamedTuple):
    """Something that came back.

    Attributes:
        notification_id: The message it is about.
        attempt: The attempt; 0 for the last one.
        kind: What it is.
        status: Enhanced status code; "" for none.
        at_us: When.
    """

    notification_id: str
    attempt: int
    kind: Feedback
    status: str
    at_us: int


class Result(NamedTuple):
    """What was made of it.

    Attributes:
        kind: What it was; None if it says nothing.
        notification_id: The message; "" if that cannot be told.
        attempt: The attempt.
        suppressed: The address is given up now.
        repeated: It was known.
    """

    kind: Feedback | None
    notification_id: str = ""
    attempt: int = 0
    suppressed: bool = False
    repeated: bool = False


class FeedbackBook(Protocol):
    """Feedback and suppressions in one transaction."""

    async def add(
        self, notification_id: str, attempt: int, kind: Feedback, channel: Channel, address_hash: bytes, at_us: int
    ) -> bool:
        """Keep what came back; False if it was known."""
        ...

    async def history(self, address_hash: bytes, channel: Channel, now_us: int) -> list[tuple[int, Feedback]]:
        """Return what came back from an address: when and what."""
        ...

    async def suppress(self, address_hash: bytes, channel: Channel, found: Suppression) -> None:
        """Give an address up."""
        ...

    async def delivered(self, notification_id: str, at_us: int) -> bool:
        """Note that a message arrived; False if that was known."""
        ...


@dataclass(frozen=True)
class TakeFeedback:
    """Takes what comes back.

    Attributes:
        unsubscribing: Writes down who wants no more.
        paths: Reads return paths; None where there is no e-mail.
        policy: When an address is given up.
        clock: The time.
    """

    unsubscribing: Unsubscribing
    paths: ReturnPaths | None
    policy: Policy
    clock: Clock

    async def returned(self, unit: Any, mail: Returned) -> Result:
        """Take a mail that came back. The return path says what it is about; what it quotes is only the second best."""
        if mail.feedback is None:
            return Result(None)
        found = self.paths.open(mail.return_path) if self.paths is not None and mail.return_path else None
        if found is None:
            key = (mail.envelope_id or mail.message_id).partition("@")[0]
            found = (key.partition(_SERIES)[0], 0) if key.startswith("ntf_") else None
        if found is None:
            return Result(mail.feedback)
        now_us = micros_of(self.clock.now())
        return await self.reported(unit, Reported(*found, mail.feedback, mail.status, now_us))

    async def reported(self, unit: Any, report: Reported) -> Result:
        """Take what a provider reports."""
        stored: Stored | None = next(iter(await unit.messages.hold([report.notification_id])), None)
        if stored is None:
            return Result(report.kind)
        rows = (await unit.messages.attempts([report.notification_id]))[report.notification_id]
        row = _attempt(rows, report.attempt)
        if row is None:
            return Result(report.kind, report.notification_id)
        now_us = micros_of(self.clock.now())
        at_us = min(report.at_us, now_us)
        channel = Channel(row.channel)
        book: FeedbackBook = unit.feedback
        if not await book.add(report.notification_id, row.attempt, report.kind, channel, row.address_hash, at_us):
            return Result(report.kind, report.notification_id, row.attempt, repeated=True)
        stored = await self._settled(unit, stored, row, now_us)
        await self._tell(unit, stored, row.attempt, report._replace(at_us=at_us))
        suppressed = False
        if row.address_hash:
            history = await book.history(row.address_hash, channel, now_us)
            if (found := judged(history, self.policy)) is not None and (found.until_us or now_us + 1) > now_us:
                await book.suppress(row.address_hash, channel, found)
                suppressed = True
        if report.kind is Feedback.COMPLAINT:
            await self.unsubscribing.of_message(unit, stored, Method.COMPLAINT, channel=channel)
        return Result(report.kind, report.notification_id, row.attempt, suppressed)

    async def _settled(self, unit: Any, stored: Stored, row: AttemptRow, now_us: int) -> Stored:
        """Whatever came back, the provider had it: that ends a doubt."""
        try:
            entry = ledger.settled_as_sent(stored.entry, row.attempt)
        except StepRefusedError:
            return stored
        after = stored.stepped(entry, now_us)
        ended = row._replace(ended_us=row.ended_us or now_us, outcome=1)
        await unit.messages.take([Step(stored.entry, after, now_us, ended=ended)])
        return after

    async def _tell(self, unit: Any, stored: Stored, attempt: int, report: Reported) -> None:
        if report.kind in _CAME_BACK:
            await unit.tell_bounced(stored, attempt, report.kind, report.status, report.at_us)
        if report.kind in _ARRIVED and await unit.feedback.delivered(stored.notification_id, report.at_us):
            await unit.tell_arrived(stored, attempt, report.at_us)
        if report.kind is Feedback.COMPLAINT:
            seen = Seen(Engagement.COMPLAINED, "", report.at_us, By.PERSON)
            await unit.tell_engaged(stored, seen, By.PERSON)


def _attempt(rows: Sequence[AttemptRow], wanted: int) -> AttemptRow | None:
    """Return an attempt; the last one where none is named. One that certainly did not go cannot have come back."""
    gone = [each for each in rows if each.outcome != 2]
    if wanted:
        return next((each for each in gone if each.attempt == wanted), None)
    return gone[-1] if gone else None
