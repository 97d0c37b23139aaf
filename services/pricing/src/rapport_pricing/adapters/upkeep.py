"""Ends offers whose time is over or that may not be offered any more, and makes those that had to wait."""

from __future__ import annotations

from typing import Final

from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_privacy.participant.living import writable
from rapport_privacy.permits import Permits

from rapport_pricing.adapters import offers
from rapport_pricing.adapters.units import Store
from rapport_pricing.app.offer_terms import OfferState, StoredOffer
from rapport_pricing.app.offers import is_over
from rapport_pricing.app.retention import Retain
from rapport_pricing.app.times import micros_of

_AT_ONCE: Final = 200


class EndOffers:
    """Goes round the open offers, again and again.

    A quote asks the gate itself: what is done here is that others are told.

    Args:
        database: Where they are.
        store: Opens transactions.
        permits: The gate.
        purpose_id: The purpose of personal prices.
        clock: The time.
    """

    def __init__(self, database: Database, store: Store, permits: Permits, purpose_id: str, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._permits = permits
        self._purpose_id = purpose_id
        self._clock = clock
        self._cursor = ""

    async def step(self) -> bool:
        """End some offers; return whether a round goes on.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._database.looking() as connection:
            over = await offers.over(connection, micros_of(self._clock.now()), _AT_ONCE)
            page = await offers.open_after(connection, self._cursor, _AT_ONCE)
        self._cursor = page[-1].offer_id if len(page) == _AT_ONCE else ""
        denied = [each for each in page if self._is_denied(each)]
        if over or denied:
            async with self._store.unit() as unit:
                book = await unit.offers()
                await book.end(denied, OfferState.NOT_PERMITTED)
                await book.end(over, OfferState.LAPSED)
        return bool(self._cursor or len(over) == _AT_ONCE)

    def _is_denied(self, offer: StoredOffer) -> bool:
        return is_over(
            self._permits.check(offer.profile_id, self._purpose_id, brand_id=offer.brand_id, market=offer.market)
        )


class AnswerRisks:
    """Answers risks that came while the gate did not know what may be offered: at a start, or without the ledger.

    Args:
        database: Where they wait.
        store: Gives offers in a transaction.
        retain: Answers them.
    """

    def __init__(self, database: Database, store: Store, retain: Retain) -> None:
        self._database = database
        self._store = store
        self._retain = retain

    async def step(self) -> bool:
        """Answer some; return whether more may wait that can be answered.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._database.looking() as connection:
            waiting = await offers.waiting(connection, _AT_ONCE)
        ready = [each for each in waiting if not self._retain.must_wait(each)]
        for risk in ready:
            async with self._database.transaction() as connection:
                await writable(connection, [risk.profile_id])  # an erasure holds the person before the head, too
                await self._retain.take_up(await self._store.retention_on(connection), risk)
        return len(ready) == _AT_ONCE
