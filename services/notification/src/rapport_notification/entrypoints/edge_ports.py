"""What the ways in around the send ledger need of the technology behind them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from rapport_chassis.authored import Version, VersionState
from rapport_chassis.database.pool import Connection

from rapport_notification.app.feedback import FeedbackBook
from rapport_notification.app.messages import AttemptRow, Stored
from rapport_notification.app.replying import TextBook
from rapport_notification.app.trigger_units import MessagesOfTriggers, TriggerUnit, WatchBook
from rapport_notification.app.unsubscribing import Wish, Wishes
from rapport_notification.domain.engagement import By, Seen
from rapport_notification.domain.occurrences import Product
from rapport_notification.domain.suppression import Feedback, Suppression
from rapport_notification.domain.vocabulary import Channel


class Versions(Protocol):
    """Versions of triggers in one transaction."""

    async def get(self, trigger_id: str, version: int) -> Version:
        """Return a version; 0 for the one drafted last."""
        ...

    async def draft(self, trigger_id: str, body: bytes, *, actor: str, now: datetime) -> Version:
        """Add a version, without effect yet."""
        ...

    async def activate(
        self, trigger_id: str, version: int, *, active_from: datetime | None, actor: str, reason: str, now: datetime
    ) -> Version:
        """Put a drafted version in force from a time on."""
        ...

    async def pause(self, trigger_id: str, *, actor: str, reason: str, now: datetime) -> Version:
        """Take a trigger out of force, and write to nobody more for it."""
        ...

    async def page(
        self, trigger_id: str, state: VersionState | None, after: tuple[str, int], limit: int
    ) -> list[Version]:
        """Return versions by trigger and version, those after a place."""
        ...


class Watched(Protocol):
    """What somebody watches, and since when."""

    @property
    def profile_id(self) -> str:
        """Who."""
        ...

    @property
    def product(self) -> Product:
        """What."""
        ...

    @property
    def since_us(self) -> int:
        """Since when."""
        ...


class Watching(WatchBook, Protocol):
    """What people watch, in one transaction."""

    async def watch(self, profile_id: str, product: Product, now_us: int) -> int:
        """Begin to watch, or go on; return since when."""
        ...

    async def unwatch(self, profile_ids: Sequence[str], product_id: str) -> int:
        """Watch a product no more, or nothing at all where none is named; return how many watches that were."""
        ...

    async def of(self, profile_ids: Sequence[str]) -> Sequence[Watched]:
        """Return what somebody watches, the newest first."""
        ...


class Suppressions(FeedbackBook, Protocol):
    """Feedback and suppressions in one transaction."""

    async def suppressed(self, address_hash: bytes, channel: Channel) -> Suppression | None:
        """Return why an address is given up; None if it is not."""
        ...

    async def forget(self, address_hash: bytes, channel: Channel) -> None:
        """Forget that an address was given up; what came back of it stays known."""
        ...

    async def lift(self, address_hash: bytes, channel: Channel) -> None:
        """Write to an address again; the bounces that gave it up are forgotten."""
        ...

    async def last_to(self, address_hash: bytes, channel: Channel) -> tuple[str, int] | None:
        """Return the last message to an address, and the attempt."""
        ...


class Messages(MessagesOfTriggers, Protocol):
    """Messages in one transaction."""

    async def find(self, notification_id: str) -> Stored | None:
        """Return a message; None if there is none."""
        ...

    async def attempts(self, notification_ids: Sequence[str]) -> dict[str, list[AttemptRow]]:
        """Return the attempts of messages, oldest first."""
        ...

    async def of_trigger(self, trigger_id: str) -> list[Stored]:
        """Return waiting messages that a trigger asked for, and hold them."""
        ...


class EdgeUnit(TriggerUnit, Protocol):
    """One transaction."""

    connection: Connection

    @property
    def messages(self) -> Messages:
        """The send ledger."""
        ...

    @property
    def watches(self) -> Watching:
        """What people watch."""
        ...

    @property
    def triggers(self) -> Versions:
        """Versions of triggers."""
        ...

    @property
    def feedback(self) -> Suppressions:
        """What came back."""
        ...

    @property
    def texts(self) -> TextBook:
        """Texts of which something is left to do."""
        ...

    @property
    def wishes(self) -> Wishes:
        """Who wants no more."""
        ...

    async def tell_unsubscribed(self, wish: Wish) -> None:
        """Tell of a wish when the transaction is committed."""
        ...

    async def tell_arrived(self, stored: Stored, attempt: int, at_us: int) -> None:
        """Tell that a message arrived."""
        ...

    async def tell_bounced(self, stored: Stored, attempt: int, kind: Feedback, status: str, at_us: int) -> None:
        """Tell that a message came back."""
        ...

    async def tell_engaged(self, stored: Stored, seen: Seen, by: By) -> None:
        """Tell what was done with a message."""
        ...


class EdgeStore(Protocol):
    """Opens transactions."""

    def unit(self) -> AbstractAsyncContextManager[EdgeUnit]:
        """Give a transaction: committed at the end of the block, rolled back on an error."""
        ...

    def forget(self) -> None:
        """Read the triggers in force again at once: a decision was made in this process."""
        ...
