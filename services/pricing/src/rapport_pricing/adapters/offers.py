"""Offers in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rapport.pricing.v1 import authored_pb2
from rapport_chassis.authored import AuthoredStore
from rapport_chassis.database.pool import Connection
from rapport_chassis.events import outbox

from rapport_pricing.adapters import living
from rapport_pricing.adapters.catalogue import CatalogueUnit
from rapport_pricing.adapters.offer_rows import COLUMNS, rows
from rapport_pricing.adapters.reservations import commit_use, hold_use, release_use
from rapport_pricing.app.holding import Held
from rapport_pricing.app.offer_terms import OfferState, StoredOffer, Treatment
from rapport_pricing.app.retention import Risk
from rapport_pricing.app.rules import Kind, Rulebook
from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.promotions import Caps, Promotion
from rapport_pricing.translate.offers import offer_created, offer_expired
from rapport_pricing.translate.terms import terms_in

_PROMOTIONS: Final = AuthoredStore(Kind.PROMOTION.value)
_ADD: Final = f"""
INSERT INTO offers ({COLUMNS}, position)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""  # noqa: S608 - made of constants
_END: Final = """
UPDATE offers SET version = version + 1, state = %s, position = %s WHERE offer_id = %s AND state = 'open' RETURNING 1
"""
_OF: Final = f"""
SELECT {COLUMNS} FROM offers
WHERE profile_id = ANY (%(ids)s) AND (%(all)s OR (state = 'open' AND treatment = 'treated' AND until_us > %(now)s))
    AND (created_us, offer_id) < (%(before)s, %(id)s)
ORDER BY created_us DESC, offer_id DESC LIMIT %(limit)s
"""  # noqa: S608 - made of constants
_OVER: Final = f"""
SELECT {COLUMNS} FROM offers WHERE state = 'open' AND until_us <= %s ORDER BY until_us LIMIT %s
"""  # noqa: S608 - made of constants
_OPEN: Final = f"""
SELECT {COLUMNS} FROM offers WHERE state = 'open' AND offer_id > %s ORDER BY offer_id LIMIT %s
"""  # noqa: S608 - made of constants
_ANSWERING: Final = f"""
SELECT {COLUMNS} FROM offers
WHERE profile_id = ANY (%s) AND cause_event_id <> '' AND (state = 'open' OR created_us > %s)
"""  # noqa: S608 - made of constants
_HEARD: Final = """
INSERT INTO risks (profile_id, version) VALUES (%s, %s)
ON CONFLICT (profile_id) DO UPDATE SET version = excluded.version, waiting_event_id = ''
WHERE risks.version < excluded.version RETURNING 1
"""
_PUT_OFF: Final = """
UPDATE risks SET waiting_event_id = %s, waiting_level = %s, waiting_held_out = %s WHERE profile_id = %s AND version = %s
"""
_TAKE_UP: Final = """
UPDATE risks SET waiting_event_id = '' WHERE profile_id = %s AND version = %s AND waiting_event_id <> '' RETURNING 1
"""
_WAITING: Final = """
SELECT waiting_event_id, profile_id, version, waiting_level, waiting_held_out FROM risks
WHERE waiting_event_id <> '' ORDER BY profile_id LIMIT %s
"""


class OfferUnit:
    """`OfferBook`: offers in a transaction that holds the head of the catalogue.

    Args:
        catalogue: The transaction.
    """

    def __init__(self, catalogue: CatalogueUnit) -> None:
        self._catalogue = catalogue
        self._connection = catalogue.connection

    @property
    def now_us(self) -> int:
        """The time of this write."""
        return self._catalogue.now_us

    async def rulebook(self) -> Rulebook:
        """Return what is in force now."""
        return await self._catalogue.rulebook()

    async def make(self, offer: StoredOffer, caps: Caps, customer_ids: Sequence[str]) -> None:
        """Keep a new offer, hold a use of its promotion if it is treated and there are caps, and tell of it."""
        await living.alive(self._connection, offer.profile_id)
        if caps.any and offer.treatment is Treatment.TREATED:
            held = Held(offer.promotion_id, offer.offer_id, 0, offer.until_us, caps)
            await hold_use(self._connection, held, offer.profile_id, customer_ids, self.now_us)
        await self._connection.execute(_ADD, (*offer, await self._catalogue.place()))
        terms, currency = await terms_of(self._connection, offer)
        await outbox.append(self._connection, [offer_created(offer, terms, currency, self._catalogue.now)])

    async def end(self, offers: Sequence[StoredOffer], state: OfferState) -> None:
        """Have open offers stand elsewhere, and tell of it."""
        for offer in offers:
            if await self._ended(offer, state) and state is not OfferState.USED_UP:
                await release_use(self._connection, offer.promotion_id, offer.offer_id, self.now_us)

    async def use(self, offer: StoredOffer, caps: Caps) -> None:
        """Use an offer, once.

        Raises:
            RapportError: BUDGET_EXHAUSTED: it was used before, or is over; RESERVATION_LAPSED.
        """
        if not await self._ended(offer, OfferState.USED_UP):
            raise ERRORS.error("BUDGET_EXHAUSTED", "an offer of the quote was used before, or is over")
        if caps.any:
            await commit_use(self._connection, offer.promotion_id, offer.offer_id, caps, 0, self.now_us)

    @property
    def holdout_salt(self) -> bytes:
        """What chance is drawn with."""
        return self._catalogue.holdout_salt

    async def heard(self, profile_id: str, version: int) -> bool:
        """Note what was heard of a customer's risk; False if something as new was heard before."""
        return await (await self._connection.execute(_HEARD, (profile_id, version))).fetchone() is not None

    async def put_off(self, risk: Risk) -> None:
        """Have a risk that was heard of wait for its answer."""
        values = (risk.event_id, risk.level, risk.held_out, risk.profile_id, risk.version)
        await self._connection.execute(_PUT_OFF, values)

    async def take_up(self, risk: Risk) -> bool:
        """Have a risk wait no longer; False if it did not, or something newer was heard."""
        found = await self._connection.execute(_TAKE_UP, (risk.profile_id, risk.version))
        return await found.fetchone() is not None

    async def answering(self, profile_ids: Sequence[str], since_us: int) -> list[StoredOffer]:
        """Return a customer's offers that answer an event: open ones, and those made since a time."""
        return await rows(self._connection, _ANSWERING, (list(profile_ids), since_us))

    async def _ended(self, offer: StoredOffer, state: OfferState) -> bool:
        values = (state.value, await self._catalogue.place(), offer.offer_id)
        if await (await self._connection.execute(_END, values)).fetchone() is None:
            return False
        terms, currency = await terms_of(self._connection, offer)
        now = offer._replace(state=state, version=offer.version + 1)
        await outbox.append(self._connection, [offer_expired(now, terms, currency, self._catalogue.now)])
        return True


async def terms_of(connection: Connection, offer: StoredOffer) -> tuple[Promotion, str]:
    """Return what an offer is of, and the currency of its amount; empty where it has none."""
    version = await _PROMOTIONS.get(connection, offer.promotion_id, offer.promotion_version)
    message = authored_pb2.PromotionTerms.FromString(version.body)
    terms = terms_in(Kind.PROMOTION, version.id, version.version, version.body)
    assert isinstance(terms, Promotion)
    amount = message.WhichOneof("benefit") or ""
    return terms, "" if amount == "percent_ppm" else getattr(message, amount).currency_code


async def of(
    connection: Connection, profile_ids: Sequence[str], before: tuple[int, str], limit: int, *, every: bool, now_us: int
) -> list[StoredOffer]:
    """Return a customer's offers, newest first, those before a place; with `every` those that cannot be used, too."""
    values = {"ids": list(profile_ids), "all": every, "now": now_us, "before": before[0], "id": before[1]}
    return await rows(connection, _OF, values | {"limit": limit})


async def over(connection: Connection, now_us: int, limit: int) -> list[StoredOffer]:
    """Return open offers whose time is over."""
    return await rows(connection, _OVER, (now_us, limit))


async def open_after(connection: Connection, offer_id: str, limit: int) -> list[StoredOffer]:
    """Return open offers by id, from the one after `offer_id` on."""
    return await rows(connection, _OPEN, (offer_id, limit))


async def waiting(connection: Connection, limit: int) -> list[Risk]:
    """Return risks that wait for their answer."""
    return [Risk._make(row) for row in await (await connection.execute(_WAITING, [limit])).fetchall()]
