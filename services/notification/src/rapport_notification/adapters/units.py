"""Transactions of the service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

from rapport_chassis.authored import Version, VersionState
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection

from rapport_notification.adapters import preferences, templates
from rapport_notification.adapters.messages import MessageBook
from rapport_notification.adapters.templates import TemplateShelf
from rapport_notification.app.templates import Prepared
from rapport_notification.domain.preferences import Person, Wish


class Unit:
    """One transaction.

    Args:
        connection: The transaction.
        shelf: Templates.
    """

    def __init__(self, connection: Connection, shelf: TemplateShelf) -> None:
        self.connection = connection
        self._messages = MessageBook(connection, shelf)
        self._shelf = shelf

    @property
    def messages(self) -> MessageBook:
        """The messages."""
        return self._messages

    async def person(self, ids: Sequence[str]) -> Person:
        """Return what a person wants.

        Args:
            ids: Every id of the person, the current one first.
        """
        return (await preferences.persons(self.connection, [ids]))[ids[0]]

    async def set_wishes(
        self, profile_id: str, wishes: Collection[Wish], place: tuple[str, str] | None, now_us: int
    ) -> None:
        """Keep what a person says; a place of two empty texts is taken back, None stays as it was."""
        await preferences.set_wishes(self.connection, profile_id, wishes, place, now_us)

    async def template(self, template_id: str, brand_id: str, version: int) -> Prepared | None:
        """Return a version of a template, or with 0 the one in force; None if none is.

        Raises:
            RapportError: TEMPLATE_NOT_FOUND.
        """
        if version:
            return await self._shelf.version(self.connection, template_id, brand_id, version)
        return await self._shelf.in_force(self.connection, template_id, brand_id)

    async def template_versions(
        self, template_id: str, state: VersionState | None, after: tuple[str, int], limit: int
    ) -> list[Version]:
        """Return versions by template, brand and version, those after a place; of one template if it is named."""
        return await templates.page(self.connection, template_id, state, after, limit)


class Store:
    """Opens transactions.

    Args:
        database: Where everything is.
        shelf: Templates.
    """

    def __init__(self, database: Database, shelf: TemplateShelf) -> None:
        self._database = database
        self._shelf = shelf

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
        return Unit(connection, self._shelf)
