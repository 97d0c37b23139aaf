"""Use case: somebody answers a text message. STOP is obeyed at once, START takes that back, and free text is looked at.

The number is looked up as a keyed hash among the attempts, and in identity where no message is known; it is not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

from rapport_chassis.clock import Clock

from rapport_notification.app.messages import Stored
from rapport_notification.app.times import micros_of
from rapport_notification.app.unsubscribing import Method, Unsubscribing
from rapport_notification.domain.suppression import Suppressed, Suppression, address_hash
from rapport_notification.domain.vocabulary import DAY_US, Channel
from rapport_notification.sending.sms import Keywords, Reply

_REVIEW_US: Final = 30 * DAY_US


class Owners(Protocol):
    """Knows whose number one is."""

    async def of_number(self, number: str) -> str:
        """Return a profile; "" if nobody is known by the number.

        Raises:
            RapportError: It cannot be asked now.
        """
        ...


@dataclass(frozen=True)
class TakeReply:
    """Takes answers to text messages.

    Attributes:
        keywords: Words that stop, start and ask.
        key: That addresses are hashed with.
        owners: Knows whose number one is; None where nobody can be asked.
        unsubscribing: Writes down who wants no more.
        clock: The time.
    """

    keywords: Keywords
    key: bytes
    owners: Owners | None
    unsubscribing: Unsubscribing
    clock: Clock

    async def take(self, unit: Any, number: str, text: str, brand_id: str) -> Reply:
        """Take an answer and return what it means.

        Args:
            unit: The transaction.
            number: Who answered, E.164.
            text: What was written.
            brand_id: The brand it was sent to; "" for none in particular.

        Raises:
            RapportError: Identity cannot be asked now, and no message to the number is known.
        """
        meaning = self.keywords.meaning(text)
        hashed = address_hash(self.key, Channel.SMS, number)
        now_us = micros_of(self.clock.now())
        if meaning is Reply.STOP:
            # The number first: it is obeyed even if nobody is known by it.
            await unit.feedback.suppress(hashed, Channel.SMS, Suppression(Suppressed.COMPLAINT, now_us))
            await self._unsubscribed(unit, hashed, number, brand_id)
        elif meaning is Reply.START:
            await unit.feedback.lift(hashed, Channel.SMS)
        elif meaning is Reply.REVIEW:
            # It may mean stop: nothing is sent until somebody has looked, or for a month.
            held = Suppression(Suppressed.SOFT, now_us, now_us + _REVIEW_US)
            await unit.feedback.suppress(hashed, Channel.SMS, held)
        return meaning

    async def _unsubscribed(self, unit: Any, hashed: bytes, number: str, brand_id: str) -> None:
        found = await unit.feedback.last_to(hashed, Channel.SMS)
        stored: Stored | None = await unit.messages.find(found[0]) if found is not None else None
        if stored is not None:
            await self.unsubscribing.of_message(unit, stored, Method.KEYWORD, channel=Channel.SMS)
        elif self.owners is not None and (profile_id := await self.owners.of_number(number)):
            await self.unsubscribing.of_person(unit, profile_id, Channel.SMS, (), brand_id, Method.KEYWORD)
