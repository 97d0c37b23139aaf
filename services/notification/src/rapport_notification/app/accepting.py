"""Use case: take on a message."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Final

from rapport_chassis.clock import Clock
from rapport_chassis.ids import new_id
from rapport_privacy.permits import Permits
from rapport_privacy.vocabulary import Answer, Reason

from rapport_notification.app.ledger import Book, Step, taken_back
from rapport_notification.app.messages import Ask, ChannelWish, Stored
from rapport_notification.app.people import LedgerPeople
from rapport_notification.app.templates import Prepared
from rapport_notification.app.times import micros_of
from rapport_notification.app.traces import traced
from rapport_notification.domain.contents import ValuesRefusedError, checked
from rapport_notification.domain.entries import Entry, State
from rapport_notification.domain.errors import ERRORS
from rapport_notification.domain.holds import cancelled, superseded
from rapport_notification.domain.vocabulary import Channel

_NEAR: Final = 3


@dataclass(frozen=True)
class Accepting:
    """Takes messages on.

    Attributes:
        permits: The gate: an unknown purpose and an erased person are refused at once; all else is asked at the send.
        people: Who is whose.
        purposes: Returns the names of all purposes.
        values_in: Returns the values in a content.
        clock: The time.
    """

    permits: Permits
    people: LedgerPeople
    purposes: Callable[[], Collection[str]]
    values_in: Callable[[bytes], dict[str, Any]]
    clock: Clock

    async def accept(self, book: Book, ask: Ask) -> Stored:
        """Take on a message, or return the one that its cause has had before.

        A newer message with its supersede key makes older ones that wait superfluous; if there is a newer one already,
        it ends at once.

        Args:
            book: Messages in the caller's transaction.
            ask: What is asked for.

        Raises:
            RapportError: TEMPLATE_NOT_FOUND, CHANNEL_NOT_OFFERED, VALUES_INVALID, PROFILE_ERASED, PURPOSE_UNKNOWN,
                BRAND_REQUIRED.
        """
        self._check_recipient(ask)
        if ask.purpose_id and not await book.writable(ask.recipient_id):
            raise ERRORS.error("PROFILE_ERASED", "the person was erased", field="recipient_id")
        prepared = await book.template(ask.template_id, ask.brand_id)
        if prepared is None:
            raise ERRORS.error("TEMPLATE_NOT_FOUND", "no such template is in force", field="template_id")
        now_us = micros_of(self.clock.now())
        stored = self._stored(ask, prepared, now_us)
        ids = self.people.ids_of(ask.recipient_id)
        names = [f"key:{ids[0]}:{ask.supersede_key}"] if ask.supersede_key else []
        # Under one id a cause is unique in the table; only who has several could have its message under another.
        names += [f"cause:{ids[0]}:{ask.cause}"] if ask.cause and ids[1:] else []
        if names:
            await book.lock(*names)
        if ask.cause and ids[1:] and (known := await book.caused(ids, ask.cause)) is not None:
            return known
        others = await book.same_key(ids, ask.supersede_key) if ask.supersede_key else []
        if not await book.add(stored):
            known = await book.caused([ask.recipient_id], ask.cause)
            assert known is not None
            return known
        steps = [Step(stored.entry, stored, now_us, new=True)]
        gone = superseded([replace(each.waiting(), recipient_id=ids[0]) for each in (*others, stored)])
        found = [
            taken_back(each, State.SUPERSEDED, now_us) for each in (*others, stored) if each.notification_id in gone
        ]
        steps += [step for step in found if step is not None]
        # One message takes at most two steps here: it is taken on, and makes room for a newer one.
        await book.take(steps[:1])
        if steps[1:]:
            await book.take(steps[1:])
        own = [step.after for step in steps if step.after.notification_id == stored.notification_id]
        return own[-1]

    async def cancel(
        self, book: Book, event: str, fields: dict[str, str], occurred_us: int, recipient_ids: Sequence[str] = ()
    ) -> int:
        """Take back waiting messages that an event makes pointless, and return how many.

        Args:
            book: Messages in the caller's transaction.
            event: Its name.
            fields: What it says.
            occurred_us: When it happened.
            recipient_ids: Only to these; empty for all.
        """
        found = await book.cancellable(event, fields, recipient_ids)
        gone = cancelled([each.waiting() for each in found], event, fields, occurred_us)
        return await self.end(book, [each for each in found if each.notification_id in gone])

    async def end(self, book: Book, messages: Sequence[Stored]) -> int:
        """Take messages back, and return how many were waiting."""
        now_us = micros_of(self.clock.now())
        steps = [step for each in messages if (step := taken_back(each, State.CANCELLED, now_us)) is not None]
        return sum(await book.take(steps)) if steps else 0

    def _check_recipient(self, ask: Ask) -> None:
        """Refuse what could never be sent and is the caller's mistake; what may change is asked at the send."""
        if not ask.purpose_id:
            return
        purposes = {ask.purpose_id, *(wish.purpose_id for wish in ask.channels if wish.purpose_id)}
        for purpose_id in sorted(purposes):
            decision = self.permits.check(ask.recipient_id, purpose_id, brand_id=ask.brand_id, market=ask.market)
            if decision.reason == Reason.ERASED:
                raise ERRORS.error("PROFILE_ERASED", "the person was erased")
            if decision.answer == Answer.DENY_UNKNOWN:
                near = get_close_matches(purpose_id, self.purposes(), n=_NEAR)
                raise ERRORS.error(
                    "PURPOSE_UNKNOWN",
                    "there is no such purpose",
                    field="purpose_id",
                    metadata={"near": ", ".join(near)} if near else None,
                )

    def _stored(self, ask: Ask, prepared: Prepared, now_us: int) -> Stored:
        channels = _channels(ask, prepared)
        try:
            checked(prepared.declared, self.values_in(ask.content))
        except ValuesRefusedError as error:
            raise ERRORS.error("VALUES_INVALID", str(error), field="variables") from error
        due_us = max(now_us, ask.not_before_us)
        template = prepared.template
        return Stored(
            new_id("notification"),
            replace(ask, channels=channels, about_us=ask.about_us or now_us),
            template.brand_id,
            template.version,
            new_id("decision"),
            now_us,
            Entry(ask.message_class, due_us=due_us, expires_us=ask.expires_us),
            traceparent=traced(),
        )


def _channels(ask: Ask, prepared: Prepared) -> tuple[ChannelWish, ...]:
    if not ask.purpose_id:
        wished: tuple[ChannelWish, ...] = (ChannelWish(Channel.EMAIL),)
    else:
        wished = ask.channels or tuple(ChannelWish(channel) for channel in prepared.channels)
    for at, wish in enumerate(wished):
        if wish.channel not in prepared.channels:
            raise ERRORS.error(
                "CHANNEL_NOT_OFFERED", "the template is not written for this channel", field=f"channels[{at}].channel"
            )
    return wished
