"""Transactions of the service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from rapport_chassis.authored import AuthoredStore, Version, VersionState
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.events import outbox
from rapport_chassis.events.envelope import Event
from rapport_chassis.failpoints import failpoint
from rapport_privacy.reviews import Reviews

from rapport_pricing.adapters import catalogue, experiments, history, journal, living, offer_rows, offers, redemptions
from rapport_pricing.adapters.catalogue import CatalogueUnit
from rapport_pricing.adapters.learning import LearningUnit
from rapport_pricing.adapters.offers import OfferUnit
from rapport_pricing.adapters.reservations import commit_use
from rapport_pricing.app.decisions import Redeemed, Redemption
from rapport_pricing.app.limits import DatedLaws
from rapport_pricing.app.offer_terms import StoredOffer
from rapport_pricing.app.redeeming import Paid
from rapport_pricing.app.rules import Kind, Rules, Terms
from rapport_pricing.app.shelf import Shelf
from rapport_pricing.app.stored import Key, Product, Published
from rapport_pricing.app.times import micros_of
from rapport_pricing.app.trial_report import UnitFigures
from rapport_pricing.app.trials import Assigned
from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.promotions import Promotion
from rapport_pricing.translate.terms import terms_in

_STORES = {kind: AuthoredStore(kind.value) for kind in Kind}


class Unit:
    """One transaction.

    Args:
        connection: The transaction.
        rules: What this process knows of what was authored.
    """

    def __init__(self, connection: Connection, rules: Rules) -> None:
        self.connection = connection
        self._rules = rules

    async def alive(self, profile_id: str) -> None:
        """Make sure that a person may be written about; to be asked before the head of the catalogue is held.

        Raises:
            RapportError: PROFILE_ERASED.
        """
        await living.alive(self.connection, profile_id)

    async def catalogue(self) -> CatalogueUnit:
        """Hold the head of the catalogue until the transaction ends."""
        return await CatalogueUnit.begin(self.connection, self._rules)

    async def product(self, product_id: str) -> Product | None:
        """Return a product; None if there is none."""
        found = await catalogue.products(self.connection, [product_id])
        return found[0] if found else None

    async def products_after(self, product_id: str, limit: int) -> list[Product]:
        """Return products by id, from the one after `product_id` on."""
        return await catalogue.products_after(self.connection, product_id, limit)

    async def history_before(self, key: Key, version: int, limit: int) -> list[Published]:
        """Return what was published for a listing, newest first, from the version below `version` on."""
        return await catalogue.history_before(self.connection, key, version, limit)

    async def draft(self, kind: Kind, name: str, body: bytes, *, actor: str, now: datetime) -> Version:
        """Add a version of an authored thing, without effect yet."""
        return await _STORES[kind].draft(self.connection, name, body, actor=actor, now=now)

    async def first(self, kind: Kind, name: str) -> Terms | None:
        """Return the first version of an authored thing; None if there is none."""
        found = await _STORES[kind].list(self.connection, thing_id=name, limit=1)
        return terms_in(kind, name, 1, found[0].body) if found else None

    async def activate(
        self, kind: Kind, name: str, version: int, *, active_from: datetime | None, actor: str, reason: str
    ) -> Version:
        """Put a drafted version in force from a time on.

        Raises:
            RapportError: VERSION_NOT_FOUND, VERSION_STATE_INVALID, INVALID_REQUEST.
        """
        held = await self.catalogue()
        activated = await _STORES[kind].activate(
            self.connection, name, version, actor=actor, reason=reason, now=held.now, active_from=active_from
        )
        assert activated.active_from is not None
        await held.decide(kind, name, version, micros_of(activated.active_from))
        return activated

    async def retire(self, kind: Kind, name: str, *, actor: str, reason: str) -> Version:
        """Take an authored thing out of force and return the latest of its versions.

        Raises:
            RapportError: VERSION_NOT_FOUND, VERSION_STATE_INVALID.
        """
        held = await self.catalogue()
        retired = await _STORES[kind].retire(self.connection, name, actor=actor, reason=reason, now=held.now)
        await held.decide(kind, name, 0, held.now_us)
        return retired[-1]

    async def versions(
        self, kind: Kind, name: str, state: VersionState | None, after: tuple[str, int], limit: int
    ) -> Sequence[Version]:
        """Return versions by name and version, those after the given one."""
        return await _STORES[kind].list(self.connection, thing_id=name, state=state or "", after=after, limit=limit)

    @property
    def learning(self) -> LearningUnit:
        """What was learned of prices."""
        return LearningUnit(self.connection)

    @property
    def reviews(self) -> Reviews:
        """The reviews."""
        return Reviews(self.connection, ERRORS)

    async def redeemed(self, quote_id: str) -> Redeemed | None:
        """Return how a quote was used; None if it was not."""
        return await redemptions.find(self.connection, quote_id)

    async def redeem(self, redemption: Redemption) -> bool:
        """Keep a redemption and its decision; False if the quote was used before."""
        failpoint("pricing.redeem.begun")
        if not await redemptions.add(self.connection, redemption[:7]):
            return False
        await journal.write(self.connection, [redemption.kept])
        failpoint("pricing.redeem.kept")
        return True

    async def bought(self, quote_ids: Sequence[str]) -> Sequence[tuple[str, str, str, str, int]]:
        """Return what was bought at published prices by quotes: quote, product, variant, market, price version."""
        return await redemptions.bought(self.connection, quote_ids)

    async def note(self, quote_id: str, named_id: str, told: bytes) -> None:
        """Keep under which id a redemption was asked for, and the event that tells of it."""
        await redemptions.note(self.connection, quote_id, named_id, told)

    async def move(self, profile_id: str, ids: Sequence[str]) -> Sequence[tuple[bytes, int]]:
        """Give redemptions asked for under some ids to the profile that they stand for; return what told of each."""
        return await redemptions.move(self.connection, profile_id, ids)

    async def earned(self, assigned: Sequence[Assigned], contribution: int) -> None:
        """Note what a redeemed quote earned in the arms of experiments that it was given."""
        await experiments.earned(self.connection, assigned, contribution)

    async def trial_units(self, name: str, version: int) -> Sequence[UnitFigures]:
        """Return what accounts or stretches earned, in the order in which they were given an arm."""
        return await experiments.units(self.connection, name, version)

    async def quotes_of(
        self, profile_ids: Sequence[str], since: datetime | None
    ) -> Sequence[tuple[str, bytes, str, bool]]:
        """Return quotes of customers, the newest: whose, what they say, made from what, whether redeemed."""
        return await history.quotes_of(self.connection, profile_ids, since)

    async def commit(self, quote_id: str, paid: Paid, now_us: int) -> None:
        """Commit what a quote holds of a promotion with caps.

        Raises:
            RapportError: RESERVATION_LAPSED, BUDGET_EXHAUSTED.
        """
        promotion = paid.promotion
        await commit_use(self.connection, promotion.promotion_id, quote_id, promotion.caps, paid.paid, now_us)
        failpoint("pricing.redeem.committed")

    async def tell(self, events: Sequence[Event]) -> None:
        """Tell of something when the transaction is committed."""
        await outbox.append(self.connection, events)
        failpoint("pricing.redeem.told")

    async def offers(self) -> OfferUnit:
        """Hold the head of the catalogue and return the offers."""
        return OfferUnit(await self.catalogue())

    async def offers_of(
        self, profile_ids: Sequence[str], before: tuple[int, str], limit: int, *, every: bool, now_us: int
    ) -> list[StoredOffer]:
        """Return a customer's offers, newest first, those before a place."""
        return await offers.of(self.connection, profile_ids, before, limit, every=every, now_us=now_us)

    async def offers_named(self, offer_ids: Collection[str]) -> list[StoredOffer]:
        """Return offers by their ids, those that exist."""
        return await offer_rows.find(self.connection, offer_ids)

    async def offered(self, offer: StoredOffer) -> tuple[Promotion, str]:
        """Return what an offer is of, and the currency of its amount."""
        return await offers.terms_of(self.connection, offer)

    async def report(self, outcomes: Sequence[Sequence[object]], now: datetime) -> int:
        """Keep outcomes and return how many were new."""
        return await redemptions.report(self.connection, outcomes, now)

    async def shelf_at(self, laws: DatedLaws, epoch: str, position: int, product_ids: Sequence[str]) -> Shelf:
        """Return some products, their prices and everything authored, as known at a position."""
        return await history.shelf_at(self.connection, laws, epoch, position, product_ids)

    async def published(self, key: Key, version: int) -> Published | None:
        """Return a published price with what each guardrail did; None if there is none."""
        return await history.published(self.connection, key, version)


class Store:
    """Opens transactions.

    Args:
        database: Where everything is.
        rules: Returns what this process knows of what was authored.
    """

    def __init__(self, database: Database, rules: Callable[[], Rules]) -> None:
        self._database = database
        self._rules = rules

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Unit]:
        """Give a transaction: committed at the end of the block, rolled back on an error.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._database.transaction() as connection:
            yield self.unit_on(connection)

    def unit_on(self, connection: Connection) -> Unit:
        """Give a unit inside a transaction that somebody else commits, such as a consumer's."""
        return Unit(connection, self._rules())

    async def retention_on(self, connection: Connection) -> OfferUnit:
        """Hold the head of the catalogue in such a transaction and return the offers."""
        return await self.unit_on(connection).offers()
