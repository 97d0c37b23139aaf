"""Categories and caps that were authored, those in force kept at hand."""

from __future__ import annotations

from typing import Final, NamedTuple

from rapport.notification.v1 import preference_pb2
from rapport_chassis.authored import AuthoredStore
from rapport_chassis.clock import Clock
from rapport_chassis.database.pool import Connection

from rapport_notification.domain.caps import Cap
from rapport_notification.domain.preferences import Category
from rapport_notification.translate.rules import cap_in, category_in

CATEGORIES: Final = AuthoredStore("category")
CAPS: Final = AuthoredStore("cap")
_EVERY_S: Final = 0.5
_MOST: Final = 1000


class RuleBook(NamedTuple):
    """What is in force.

    Attributes:
        categories: By name; one that is not here is heard everywhere and can be refused.
        caps: All of them.
    """

    categories: dict[str, Category]
    caps: tuple[Cap, ...]

    def category(self, name: str) -> Category:
        """Return a category."""
        return self.categories.get(name) or Category(name)


class Rules:
    """Reads what is in force, at most twice a second.

    Args:
        clock: The time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._book = RuleBook({}, ())
        self._read_at = float("-inf")

    async def book(self, connection: Connection) -> RuleBook:
        """Return what is in force, as it was half a second ago at most."""
        now = self._clock.boottime()
        if now - self._read_at >= _EVERY_S:
            categories = {name: category_in(name, terms) for name, terms in await self._active(connection, CATEGORIES)}
            caps = tuple([cap_in(name, terms) for name, terms in await self._active(connection, CAPS)])
            self._book, self._read_at = RuleBook(categories, caps), now
        return self._book

    async def _active(
        self, connection: Connection, store: AuthoredStore
    ) -> list[tuple[str, preference_pb2.UpsertRuleRequest]]:
        now, found = self._clock.now(), []
        for name in sorted({each.id for each in await store.list(connection, state="active", limit=_MOST)}):
            if (version := await store.active_at(connection, name, now)) is not None:
                found.append((name, preference_pb2.UpsertRuleRequest.FromString(version.body)))
        return found
