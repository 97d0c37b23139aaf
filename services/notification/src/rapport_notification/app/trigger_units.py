"""What triggers need: messages, what people watch, and the triggers in force, in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from rapport_notification.app.ledger import Book
from rapport_notification.app.messages import Stored
from rapport_notification.domain.occurrences import Product
from rapport_notification.domain.triggers import Fields, Trigger


class WatchBook(Protocol):
    """What people watch, in one transaction."""

    async def watchers(self, product: Product, at_us: int, after_id: str, limit: int) -> list[str]:
        """Return who watched a product at a time, by id and after one."""
        ...

    async def see(self, product: Product, version: int, *, available: bool) -> bool | None:
        """Note whether a product can be bought, and return whether it could before; None if that is not known."""
        ...

    async def begin(self, fanout_id: str, trigger_id: str, version: int, body: dict[str, Any]) -> None:
        """Begin to write to all who watch something; done once, however often it is begun."""
        ...

    async def next_fanout(self) -> Any | None:
        """Hold messages that are not all taken on yet; None if there are none that nobody else holds."""
        ...

    async def went(self, fanout_id: str, after_id: str) -> None:
        """Note up to whom messages were taken on; "" for all."""
        ...


class MessagesOfTriggers(Book, Protocol):
    """Messages in one transaction, and which trigger asked for them."""

    async def since(self, recipient_ids: Sequence[str], trigger_id: str, after_us: int, supersede_key: str) -> bool:
        """Say whether a trigger has spoken to a person of something after a time, and was not refused.

        What waits with the supersede key does not count: a newer message takes its place.
        """
        ...

    async def keyed(self, recipient_ids: Sequence[str]) -> list[Stored]:
        """Return a person's waiting messages that have a supersede key, and all others with these keys; hold them."""
        ...

    def together(self, profile_ids: Collection[str]) -> AbstractAsyncContextManager[None]:
        """Take on messages to several people: that they may be written about is asked once, and all is told at once.

        Args:
            profile_ids: To whom; of others it is asked as it comes.
        """
        ...

    async def awaiting(self, happened: Sequence[tuple[str, Fields]], recipient_ids: Sequence[str]) -> set[str]:
        """Return who of these has a waiting message that one of these events may make pointless: name and fields."""
        ...


class TriggerUnit(Protocol):
    """One transaction."""

    @property
    def messages(self) -> MessagesOfTriggers:
        """The send ledger."""
        ...

    @property
    def watches(self) -> WatchBook:
        """What people watch."""
        ...

    async def in_force(self, now: datetime) -> Mapping[str, Sequence[Trigger]]:
        """Return the triggers in force, by the event that they wait for."""
        ...

    async def version(self, trigger_id: str, version: int) -> Trigger:
        """Return a version of a trigger.

        Raises:
            RapportError: VERSION_NOT_FOUND.
        """
        ...
