"""What the ways in need of the technology behind them; bootstrap hands it to them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from rapport_chassis.authored import Version, VersionState
from rapport_chassis.database.pool import Connection

from rapport_notification.app.ledger import Book
from rapport_notification.app.messages import AttemptRow, Stored
from rapport_notification.app.templates import Prepared
from rapport_notification.domain.preferences import Person, Wish


class Messages(Book, Protocol):
    """Messages in one transaction, for those who read them."""

    async def find(self, notification_id: str) -> Stored | None:
        """Return a message; None if there is none."""
        ...

    async def attempts(self, notification_ids: Sequence[str]) -> dict[str, list[AttemptRow]]:
        """Return the attempts of messages, oldest first."""
        ...

    async def receipts(self, notification_id: str) -> list[tuple[bytes, bytes]]:
        """Return the decisions about a message, oldest first: as they were sealed, and their digests."""
        ...

    async def page(
        self, recipient_ids: Sequence[str], state: int, verdict: int, before: tuple[int, str], limit: int
    ) -> list[Stored]:
        """Return messages, newest first, those before a place; of all recipients where none is named."""
        ...


class Unit(Protocol):
    """One transaction of the service."""

    connection: Connection

    @property
    def messages(self) -> Messages:
        """The messages."""
        ...

    async def person(self, ids: Sequence[str]) -> Person:
        """Return what a person wants."""
        ...

    async def set_wishes(
        self, profile_id: str, wishes: Collection[Wish], place: tuple[str, str] | None, now_us: int
    ) -> None:
        """Keep what a person says; a place of two empty texts is taken back, None stays as it was."""
        ...

    async def template(self, template_id: str, brand_id: str, version: int) -> Prepared | None:
        """Return a version of a template, or with 0 the one in force; None if none is."""
        ...

    async def template_versions(
        self, template_id: str, state: VersionState | None, after: tuple[str, int], limit: int
    ) -> list[Version]:
        """Return versions by template, brand and version, those after a place; of one template if it is named."""
        ...
