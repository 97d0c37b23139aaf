"""What the ways in need of the technology behind them; bootstrap hands it to them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from rapport_chassis.authored import Version, VersionState
from rapport_chassis.database.pool import Connection

from rapport_pricing.app.catalogue import Catalogue
from rapport_pricing.app.rules import Kind, Terms
from rapport_pricing.app.stored import Key, Product, Published


class Unit(Protocol):
    """One transaction of the service."""

    connection: Connection

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


class Store(Protocol):
    """Opens transactions."""

    def unit(self) -> AbstractAsyncContextManager[Unit]:
        """Give a transaction: committed at the end of the block, rolled back on an error."""
        ...
