"""Use case: somebody answers a text message. STOP is obeyed at once, START takes that back, free text is looked at.

What has to be asked or sent for it is left to `answering`, so that nothing keeps STOP from being obeyed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from rapport_chassis.clock import Clock
from rapport_chassis.ids import new_id

from rapport_notification.app.messages import Stored
from rapport_notification.app.people import LedgerPeople
from rapport_notification.app.times import micros_of
from rapport_notification.app.unsubscribing import Method, Unsubscribing
from rapport_notification.domain.suppression import Policy, Suppressed, Suppression, address_hash, judged
from rapport_notification.domain.vocabulary import Channel
from rapport_notification.sending.sms import Keywords, Reply

_ANSWERED: Final = frozenset({Reply.STOP, Reply.START, Reply.HELP})


class Text(NamedTuple):
    """A text of which something is left to do.

    Attributes:
        text_id: Which.
        address_hash: Stands for the number.
        profile_id: Whom the last message to the number was for; "" if there was none.
        notification_id: That message.
        brand_id: The brand it was sent to; "" for none in particular.
        reply: What it means.
        language: That it is answered in; "" if nothing says which.
        number: Who sent it, E.164.
        said: What somebody has to look at; "" where nobody has to.
        received_us: When.
        unknown: Whose number it is, has still to be asked.
        begun: An answer may have left.
        tries: How often it was taken up.
    """

    text_id: str
    address_hash: bytes
    profile_id: str
    notification_id: str
    brand_id: str
    reply: Reply
    language: str
    number: str
    said: str
    received_us: int
    unknown: bool = False
    begun: bool = False
    tries: int = 0


class TextBook(Protocol):
    """Texts in one transaction."""

    async def heard(self, call_id: str) -> bool:
        """Note a provider's call; False if it was made before."""
        ...

    async def add(self, text: Text) -> None:
        """Keep a text."""
        ...

    async def next(self, now_us: int) -> Text | None:
        """Hold the text whose turn it is; None if there is none."""
        ...

    async def lease(self, text_id: str, until_us: int) -> None:
        """Let nobody else take it up before a time."""
        ...

    async def known(self, text_id: str) -> None:
        """Note that whose number it is has been asked."""
        ...

    async def begun(self, text_id: str, begun: bool) -> None:
        """Note that an answer may have left, or has certainly not."""
        ...

    async def done(self, text_id: str) -> None:
        """Forget a text."""
        ...

    async def reviews(self, after: tuple[int, str], limit: int) -> list[Text]:
        """Return texts that somebody has to look at, the oldest first, those after a place."""
        ...

    async def reviewed(self, text_id: str) -> Text | None:
        """Return a text that had to be looked at, and forget it; None if there is none."""
        ...

    async def close(self, address_hash: bytes) -> None:
        """Forget the texts of a number that had to be looked at."""
        ...

    async def waits(self, address_hash: bytes) -> bool:
        """Say whether a text of a number has still to be looked at."""
        ...


@dataclass(frozen=True)
class TakeReply:
    """Takes answers to text messages.

    Attributes:
        keywords: Words that stop, start and ask.
        key: That addresses are hashed with.
        people: Who is whose.
        unsubscribing: Writes down who wants no more.
        policy: When an address is given up for what servers say.
        answers: Whether there is something to answer with.
        clock: The time.
    """

    keywords: Keywords
    key: bytes
    people: LedgerPeople
    unsubscribing: Unsubscribing
    policy: Policy
    answers: bool
    clock: Clock

    async def take(self, unit: Any, number: str, text: str, brand_id: str) -> Reply:
        """Take an answer and return what it means.

        Args:
            unit: The transaction.
            number: Who answered, E.164.
            text: What was written.
            brand_id: The brand it was sent to; "" for none in particular.
        """
        said = self.keywords.read(text)
        if said.reply is Reply.OTHER:
            return said.reply
        hashed = address_hash(self.key, Channel.SMS, number)
        last = await self._last(unit, hashed)
        known = Text(
            new_id("review"),
            hashed,
            last.ask.recipient_id if last is not None else "",
            last.notification_id if last is not None else "",
            brand_id,
            said.reply,
            (last.ask.locale if last is not None else "") or said.language,
            number,
            text if said.reply is Reply.REVIEW else "",
            micros_of(self.clock.now()),
        )
        if said.reply is Reply.REVIEW:
            # It may mean stop: nothing is sent until somebody has looked. If nobody does, it was a refusal.
            await unit.feedback.suppress(hashed, Channel.SMS, Suppression(Suppressed.SOFT, known.received_us))
        elif said.reply is Reply.STOP:
            known = await self.stop(unit, known)
        elif said.reply is Reply.START:
            await self._start(unit, known)
        if known.unknown or known.said or (self.answers and said.reply in _ANSWERED):
            await unit.texts.add(known)
        return said.reply

    async def stop(self, unit: Any, text: Text) -> Text:
        """Have a number be written to no more; the text says then whether it has still to be asked whose it is."""
        await unit.texts.close(text.address_hash)
        # The number first: it is obeyed even if nobody is known by it.
        given_up = Suppression(Suppressed.COMPLAINT, text.received_us)
        await unit.feedback.suppress(text.address_hash, Channel.SMS, given_up)
        stored: Stored | None = await unit.messages.find(text.notification_id) if text.notification_id else None
        if stored is None:
            return text._replace(reply=Reply.STOP, unknown=True)
        await self.unsubscribing.of_message(unit, stored, Method.KEYWORD, channel=Channel.SMS, at_us=text.received_us)
        return text

    async def is_no_refusal(self, unit: Any, text: Text) -> None:
        """Write to a number again that was left alone until somebody had looked, unless there is more to look at."""
        if not await unit.texts.waits(text.address_hash):
            await self._resume(unit, text.address_hash, Suppressed.SOFT)

    async def _start(self, unit: Any, text: Text) -> None:
        """Take back what STOP has refused, and no more: neither what servers said, nor what is in the ledger."""
        await unit.texts.close(text.address_hash)
        found = await self._resume(unit, text.address_hash, Suppressed.SOFT, Suppressed.COMPLAINT)
        if found is not None and text.profile_id:
            ids = self.people.ids_of(text.profile_id)
            await unit.wishes.take_back_refusals(ids, Channel.SMS, found.since_us)

    async def _resume(self, unit: Any, hashed: bytes, *reasons: Suppressed) -> Suppression | None:
        """Forget why a number is not written to, if for one of these reasons; what came back of it still counts."""
        found: Suppression | None = await unit.feedback.suppressed(hashed, Channel.SMS)
        if found is None or found.reason not in reasons:
            return None
        await unit.feedback.forget(hashed, Channel.SMS)
        history = await unit.feedback.history(hashed, Channel.SMS, micros_of(self.clock.now()))
        if (still := judged(history, self.policy)) is not None:
            await unit.feedback.suppress(hashed, Channel.SMS, still)
        return found

    async def _last(self, unit: Any, hashed: bytes) -> Stored | None:
        """Return the last message to a number, if it was to a person."""
        found = await unit.feedback.last_to(hashed, Channel.SMS)
        stored: Stored | None = await unit.messages.find(found[0]) if found is not None else None
        return None if stored is None or stored.to_request else stored
