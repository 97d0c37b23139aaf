"""Use case: somebody wants no more. It is written down with the event that tells of it, then the ledger is told.

From the moment it is written down nothing that has not begun to leave is sent any more; the ledger is told in a step of
its own, under one request id however often, so that a kill at any point neither loses it nor records it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from enum import IntEnum
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID, uuid4

from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.failpoints import failpoint
from rapport_chassis.telemetry.logs import get_logger
from rapport_privacy.permits import Permits
from rapport_privacy.vocabulary import Basis

from rapport_notification.app.messages import Stored
from rapport_notification.app.people import LedgerPeople
from rapport_notification.app.times import micros_of
from rapport_notification.domain.vocabulary import SECOND_US, Channel

_ASK_AGAIN_US: Final = 10 * SECOND_US
_LONGEST_US: Final = 3600 * SECOND_US
_OF_CONTRACT: Final = frozenset({Basis.CONTRACT, Basis.LEGAL_OBLIGATION, Basis.VITAL_INTEREST, Basis.PUBLIC_TASK})


class Method(IntEnum):
    """How somebody unsubscribed. Numbers are those of the contract."""

    ONE_CLICK = 1
    LINK = 2
    KEYWORD = 3
    COMPLAINT = 4
    DEVICE = 5


class Wish(NamedTuple):
    """Somebody wants no more.

    Attributes:
        request_id: Under which the ledger is told, however often.
        notification_id: The message that led to it; "" if unknown.
        profile_id: Who.
        channel: Where.
        purpose_ids: Of what; empty for all direct marketing.
        brand_id: Of whom; "" for all.
        method: How.
        occurred_us: When.
        tries: How often the ledger was told, or asked in vain.
    """

    request_id: UUID
    notification_id: str
    profile_id: str
    channel: Channel
    purpose_ids: tuple[str, ...]
    brand_id: str
    method: int
    occurred_us: int
    tries: int = 0


class Wishes(Protocol):
    """The journal, in one transaction."""

    async def said(self, wish: Wish, profile_ids: Sequence[str]) -> bool:
        """Say whether that person has just said the same."""
        ...

    async def add(self, wish: Wish) -> None:
        """Write a wish down."""
        ...

    async def refuse_category(self, profile_id: str, category: str, channel: Channel, set_us: int) -> None:
        """Note as a preference that a category is not wanted on a channel; an older refusal stays."""
        ...

    async def take_back_refusals(self, profile_ids: Sequence[str], channel: Channel, set_us: int) -> None:
        """Forget the categories that were refused on a channel at that very time, and no others."""
        ...

    async def next(self, now_us: int) -> Wish | None:
        """Hold the wish whose turn it is to be told; None if there is none."""
        ...

    async def lease(self, request_id: UUID, until_us: int) -> None:
        """Let nobody else tell it before a time."""
        ...

    async def recorded(self, request_id: UUID, position: int, now_us: int) -> None:
        """Note that it is in the ledger, and since when."""
        ...

    async def refused(self, request_id: UUID) -> None:
        """Note that the ledger will never take it: the person was erased."""
        ...


class UnsubscribeUnit(Protocol):
    """One transaction."""

    @property
    def wishes(self) -> Wishes:
        """The journal."""
        ...

    async def tell_unsubscribed(self, wish: Wish) -> None:
        """Tell of a wish when the transaction is committed."""
        ...


class Ledger(Protocol):
    """The consent ledger."""

    async def record(self, wish: Wish, *, withdraw: bool) -> int:
        """Withdraw consent or record an objection; return the position in the ledger.

        Raises:
            RapportError: It was refused, or cannot be reached.
        """
        ...


class Unsubscribing:
    """Writes down who wants no more.

    Args:
        people: Who is whose.
        permits: The gate: knows what a purpose rests on.
        clock: The time.
        wake: Has the ledger told at once.
    """

    def __init__(self, people: LedgerPeople, permits: Permits, clock: Clock, wake: Callable[[], None]) -> None:
        self._people = people
        self._permits = permits
        self._clock = clock
        self.wake = wake

    async def of_message(
        self,
        unit: UnsubscribeUnit,
        stored: Stored,
        method: Method,
        *,
        channel: Channel | None = None,
        at_us: int | None = None,
    ) -> bool:
        """Write down that a message was one too many; False if that was just said, or it is of a duty by law.

        What rests on consent or a legitimate interest is taken to the ledger. A message that a contract allows is not
        asked for there: its category is refused on the channel, as a preference, as of `at_us` or now.
        """
        if stored.to_request:
            return False
        heard = channel or stored.channel or Channel.EMAIL
        purpose_id, ask = stored.purpose_of(heard), stored.ask
        decision = self._permits.check(ask.recipient_id, purpose_id, brand_id=ask.brand_id, market=ask.market)
        if decision.basis in _OF_CONTRACT:
            now_us = micros_of(self._clock.now()) if at_us is None else at_us
            person = self._people.current(ask.recipient_id)
            await unit.wishes.refuse_category(person, ask.category, heard, now_us)
            return True
        return await self.of_person(
            unit, ask.recipient_id, heard, (purpose_id,), ask.brand_id, method, stored.notification_id
        )

    async def of_person(
        self,
        unit: UnsubscribeUnit,
        profile_id: str,
        channel: Channel,
        purpose_ids: tuple[str, ...],
        brand_id: str,
        method: Method,
        notification_id: str = "",
    ) -> bool:
        """Write down that a person wants no more; False if they have just said so."""
        now_us = micros_of(self._clock.now())
        wish = Wish(uuid4(), notification_id, profile_id, channel, purpose_ids, brand_id, int(method), now_us)
        if await unit.wishes.said(wish, self._people.ids_of(profile_id)):
            return False
        await unit.wishes.add(wish)
        await unit.tell_unsubscribed(wish)
        failpoint("notification.unsubscribe.written")
        return True


class TellingLedger:
    """Tells the ledger what was written down.

    Args:
        unit: Opens a transaction.
        ledger: The ledger; None where the service has none.
        permits: The gate: knows what a purpose rests on.
        clock: The time.
    """

    def __init__(
        self,
        unit: Callable[[], AbstractAsyncContextManager[Any]],
        ledger: Ledger | None,
        permits: Permits,
        clock: Clock,
    ) -> None:
        self._unit = unit
        self._ledger = ledger
        self._permits = permits
        self._clock = clock

    async def step(self) -> bool:
        """Tell of one wish; return whether there was any.

        Raises:
            RapportError: NOT_READY.
        """
        if self._ledger is None:
            return False
        now_us = micros_of(self._clock.now())
        async with self._unit() as unit:
            wish: Wish | None = await unit.wishes.next(now_us)
            if wish is None:
                return False
            pause_us = min(_ASK_AGAIN_US * 2 ** min(wish.tries, 10), _LONGEST_US)
            await unit.wishes.lease(wish.request_id, now_us + pause_us)
        try:
            position = await self._ledger.record(wish, withdraw=self._withdraws(wish))
        except RapportError as error:
            get_logger().warning("unsubscribe_not_recorded", reason=error.reason.name, attempt=wish.tries + 1)
            if error.reason.name == "PROFILE_ERASED":
                async with self._unit() as unit:
                    await unit.wishes.refused(wish.request_id)
            return True
        failpoint("notification.unsubscribe.told")
        async with self._unit() as unit:
            await unit.wishes.recorded(wish.request_id, position, micros_of(self._clock.now()))
        return True

    def _withdraws(self, wish: Wish) -> bool:
        """Say whether consent is taken back; an objection else, which holds on every basis a person decides about."""
        if not wish.purpose_ids:
            return False
        bases = {
            self._permits.check(wish.profile_id, purpose_id, brand_id=wish.brand_id).basis
            for purpose_id in wish.purpose_ids
        }
        return bases == {Basis.CONSENT}
