"""Use case: what is left to do for texts that people sent: ask whose number it is, and answer, once.

An answer is no message of the ledger: it goes to the number that has just asked, whoever that is, within minutes or not
at all. That it may have left is written down before it does; where the provider knows keys it is repeated under the
same one, and else not.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.failpoints import failpoint
from rapport_chassis.telemetry.logs import get_logger

from rapport_notification.app.carriers import Carrier, Contact, Parcel, Texts
from rapport_notification.app.replying import Text
from rapport_notification.app.times import micros_of
from rapport_notification.app.unsubscribing import Method, Unsubscribing
from rapport_notification.domain.vocabulary import HOUR_US, MINUTE_US, SECOND_US, Channel, MessageClass
from rapport_notification.sending.outcome import Handed, Outcome
from rapport_notification.sending.sms import Answers

ANSWERED_WITHIN_US: Final = 5 * MINUTE_US
"""Later an answer is a message that nobody asked for: the one confirmation that US rules allow comes within this."""

_AGAIN_US: Final = 5 * SECOND_US
_NOT_GONE: Final = frozenset({Handed.DEFERRED, Handed.UNREACHABLE, Handed.WITHDRAWN})


class Owners(Protocol):
    """Knows whose number one is."""

    async def of_number(self, number: str) -> str:
        """Return a profile; "" if nobody is known by the number.

        Raises:
            RapportError: It cannot be asked now.
        """
        ...


@dataclass(frozen=True)
class Answering:
    """Does what is left.

    Attributes:
        unit: Opens a transaction.
        owners: Knows whose number one is; None where nobody can be asked.
        unsubscribing: Writes down who wants no more.
        carrier: Hands text messages over; None where there is no such channel.
        answers: What is answered; None where the provider answers.
        clock: The time.
    """

    unit: Callable[[], AbstractAsyncContextManager[Any]]
    owners: Owners | None
    unsubscribing: Unsubscribing
    carrier: Carrier | None
    answers: Answers | None
    clock: Clock

    async def step(self) -> bool:
        """Take up one text; return whether there was any.

        Raises:
            RapportError: NOT_READY.
        """
        now_us = self._now_us()
        async with self.unit() as unit:
            text: Text | None = await unit.texts.next(now_us)
            if text is None:
                return False
            await unit.texts.lease(text.text_id, now_us + min(_AGAIN_US * 2 ** min(text.tries, 12), HOUR_US))
        if not text.unknown or await self._is_told(text):
            await self._answer(text)
        return True

    async def _is_told(self, text: Text) -> bool:
        """Have whoever the number belongs to be unsubscribed; False if it cannot be asked now whose it is."""
        try:
            profile_id = await self.owners.of_number(text.number) if self.owners is not None else ""
        except RapportError as error:
            get_logger().warning("owner_not_found", reason=error.reason.name, attempt=text.tries + 1)
            return False
        async with self.unit() as unit:
            if profile_id:
                await self.unsubscribing.of_person(unit, profile_id, Channel.SMS, (), text.brand_id, Method.KEYWORD)
            await unit.texts.known(text.text_id)
        self.unsubscribing.wake()
        return True

    async def _answer(self, text: Text) -> None:
        carrier, answers = self.carrier, self.answers
        if carrier is None or answers is None or self._is_late(text):
            await self._done(text)
            return
        attempt = carrier.pool.begin(self.clock.boottime())
        if attempt is None:
            return  # it is taken up again
        keeps_keys = carrier.pool.capability(attempt.provider).key_for_us > ANSWERED_WITHIN_US
        outcome = Outcome(Handed.WITHDRAWN)
        try:
            if text.begun and not keeps_keys:
                await self._done(text)
                return
            async with self.unit() as unit:
                await unit.texts.begun(text.text_id, True)
            failpoint("notification.answer.begun")
            parcel = self._parcel(text, answers)
            outcome = await carrier.hand_over(attempt.provider, parcel, lambda: not self._is_late(text))
        finally:
            carrier.pool.ended(attempt, outcome, self.clock.boottime())
        if outcome.handed in _NOT_GONE:
            async with self.unit() as unit:
                await unit.texts.begun(text.text_id, False)
        elif outcome.handed is not Handed.UNKNOWN or not keeps_keys:
            await self._done(text)

    async def _done(self, text: Text) -> None:
        async with self.unit() as unit:
            await unit.texts.done(text.text_id)

    def _parcel(self, text: Text, answers: Answers) -> Parcel:
        return Parcel(
            notification_id=text.text_id,
            attempt=1,
            series=1,
            recipient_id="",
            contact=Contact(text.number),
            texts=Texts("", answers.text(text.reply, text.language), ""),
            locale=text.language,
            brand_id=text.brand_id,
            category="answers",
            message_class=MessageClass.ONE_TIME,
            sent_at=self.clock.now(),
        )

    def _is_late(self, text: Text) -> bool:
        return self._now_us() > text.received_us + ANSWERED_WITHIN_US

    def _now_us(self) -> int:
        return micros_of(self.clock.now())
