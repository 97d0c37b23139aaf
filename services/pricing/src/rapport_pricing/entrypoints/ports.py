"""What the ways in need of the technology behind them; bootstrap hands it to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from rapport_chassis.authored import Version, VersionState
from rapport_chassis.database.pool import Connection
from rapport_chassis.events.envelope import Event
from rapport_privacy.reviews import Reviews

from rapport_pricing.app.auditing import PersonalVisits
from rapport_pricing.app.catalogue import Catalogue
from rapport_pricing.app.decisions import Kept, Redeemed, Redemption, Unkept
from rapport_pricing.app.learned import Learner
from rapport_pricing.app.limits import DatedLaws
from rapport_pricing.app.offer_terms import StoredOffer
from rapport_pricing.app.offers import OfferBook
from rapport_pricing.app.redeeming import Paid
from rapport_pricing.app.retention import RetentionBook
from rapport_pricing.app.rules import Kind, Terms
from rapport_pricing.app.shelf import Shelf
from rapport_pricing.app.stored import Key, Product, Published
from rapport_pricing.app.trial_report import UnitFigures
from rapport_pricing.app.trials import Assigned
from rapport_pricing.domain.outcomes import Count
from rapport_pricing.domain.promotions import Caps, Promotion
from rapport_pricing.domain.steering import Steering


class Offers(OfferBook, Protocol):
    """Offers in a transaction that holds the head of the catalogue."""

    async def use(self, offer: StoredOffer, caps: Caps) -> None:
        """Use an offer, once."""
        ...


class Learning(PersonalVisits, Protocol):
    """What was learned of prices, in a transaction."""

    async def learner(self, key: Key, *, hold: bool = False) -> Learner | None:
        """Return where learning stands; None if nothing was ever heard of the listing."""
        ...

    async def steer(self, key: Key, steering: Steering) -> None:
        """Say who decides."""
        ...

    async def waiting(self) -> int:
        """Return how many outcomes are not folded in yet."""
        ...

    async def folded_again(self, key: Key, price_versions: Sequence[int]) -> Mapping[int, Count]:
        """Return counts made anew from every outcome, in another order."""
        ...


class Unit(Protocol):
    """One transaction of the service."""

    connection: Connection

    async def alive(self, profile_id: str) -> None:
        """Make sure that a person may be written about; to be asked before the head of the catalogue is held."""
        ...

    async def catalogue(self) -> Catalogue:
        """Hold the head of the catalogue until the transaction ends."""
        ...

    async def product(self, product_id: str) -> Product | None:
        """Return a product; None if there is none."""
        ...

    async def products_after(self, product_id: str, limit: int) -> Sequence[Product]:
        """Return products by id, from the one after `product_id` on."""
        ...

    async def history_before(self, key: Key, version: int, limit: int) -> Sequence[Published]:
        """Return what was published for a listing, newest first, from the version below `version` on."""
        ...

    async def draft(self, kind: Kind, name: str, body: bytes, *, actor: str, now: datetime) -> Version:
        """Add a version of an authored thing, without effect yet."""
        ...

    async def first(self, kind: Kind, name: str) -> Terms | None:
        """Return the first version of an authored thing; None if there is none."""
        ...

    async def activate(
        self, kind: Kind, name: str, version: int, *, active_from: datetime | None, actor: str, reason: str
    ) -> Version:
        """Put a drafted version in force from a time on."""
        ...

    async def retire(self, kind: Kind, name: str, *, actor: str, reason: str) -> Version:
        """Take an authored thing out of force and return the latest of its versions."""
        ...

    async def versions(
        self, kind: Kind, name: str, state: VersionState | None, after: tuple[str, int], limit: int
    ) -> Sequence[Version]:
        """Return versions by name and version, those after the given one."""
        ...

    @property
    def learning(self) -> Learning:
        """What was learned of prices."""
        ...

    @property
    def reviews(self) -> Reviews:
        """The reviews."""
        ...

    async def redeemed(self, quote_id: str) -> Redeemed | None:
        """Return how a quote was used; None if it was not."""
        ...

    async def redeem(self, redemption: Redemption) -> bool:
        """Keep a redemption and its decision; False if the quote was used before."""
        ...

    async def bought(self, quote_ids: Sequence[str]) -> Sequence[tuple[str, str, str, str, int]]:
        """Return what was bought at published prices by quotes: quote, product, variant, market, price version."""
        ...

    async def note(self, quote_id: str, named_id: str, told: bytes) -> None:
        """Keep under which id a redemption was asked for, and the event that tells of it."""
        ...

    async def move(self, profile_id: str, ids: Sequence[str]) -> Sequence[tuple[bytes, int]]:
        """Give redemptions asked for under some ids to the profile that they stand for; return what told of each."""
        ...

    async def earned(self, assigned: Sequence[Assigned], contribution: int) -> None:
        """Note what a redeemed quote earned in the arms of experiments that it was given."""
        ...

    async def trial_units(self, name: str, version: int) -> Sequence[UnitFigures]:
        """Return what accounts or stretches earned, in the order in which they were given an arm."""
        ...

    async def quotes_of(
        self, profile_ids: Sequence[str], since: datetime | None
    ) -> Sequence[tuple[str, bytes, str, bool]]:
        """Return quotes of customers, the newest: whose, what they say, made from what, whether redeemed."""
        ...

    async def commit(self, quote_id: str, paid: Paid, now_us: int) -> None:
        """Commit what a quote holds of a promotion with caps."""
        ...

    async def tell(self, events: Sequence[Event]) -> None:
        """Tell of something when the transaction is committed."""
        ...

    async def offers(self) -> Offers:
        """Hold the head of the catalogue and return the offers."""
        ...

    async def offers_of(
        self, profile_ids: Sequence[str], before: tuple[int, str], limit: int, *, every: bool, now_us: int
    ) -> Sequence[StoredOffer]:
        """Return a customer's offers, newest first, those before a place."""
        ...

    async def offers_named(self, offer_ids: Collection[str]) -> Sequence[StoredOffer]:
        """Return offers by their ids, those that exist."""
        ...

    async def offered(self, offer: StoredOffer) -> tuple[Promotion, str]:
        """Return what an offer is of, and the currency of its amount."""
        ...

    async def report(self, outcomes: Sequence[Sequence[object]], now: datetime) -> int:
        """Keep outcomes and return how many were new."""
        ...

    async def shelf_at(self, laws: DatedLaws, epoch: str, position: int, product_ids: Sequence[str]) -> Shelf:
        """Return some products, their prices and everything authored, as known at a position."""
        ...

    async def published(self, key: Key, version: int) -> Published | None:
        """Return a published price with what each guardrail did; None if there is none."""
        ...


class Journal(Protocol):
    """Keeps decisions."""

    def add(self, kept: Unkept) -> None:
        """Keep a decision. It can be found at once."""
        ...

    async def find(self, decision_id: str) -> Kept | None:
        """Return a decision; None if there is none. One about an erased person has neither profile nor body."""
        ...


class Verifies(Protocol):
    """Verifies signatures of quotes."""

    def verify(self, kid: str, message: bytes, signature: bytes) -> bool:
        """Whether the key of this id made the signature."""
        ...


class Store(Protocol):
    """Opens transactions."""

    def unit(self) -> AbstractAsyncContextManager[Unit]:
        """Give a transaction: committed at the end of the block, rolled back on an error."""
        ...


class RetentionStore(Protocol):
    """Gives offers inside a transaction that somebody else commits."""

    def unit_on(self, connection: Connection) -> Unit:
        """Give a unit inside a transaction that somebody else commits."""
        ...

    async def retention_on(self, connection: Connection) -> RetentionBook:
        """Hold the head of the catalogue in a transaction and return the offers."""
        ...
