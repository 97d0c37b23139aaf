"""Transactions of the service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from rapport_chassis.authored import AuthoredStore, Version, VersionState
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection

from rapport_pricing.adapters import catalogue
from rapport_pricing.adapters.catalogue import CatalogueUnit
from rapport_pricing.app.rules import Kind, Rules, Terms
from rapport_pricing.app.stored import Key, Product, Published
from rapport_pricing.app.times import micros_of
from rapport_pricing.translate.authored import terms_in

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
