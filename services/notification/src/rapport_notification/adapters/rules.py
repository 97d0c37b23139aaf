"""Categories and caps that were authored, those in force kept at hand."""

from __future__ import annotations

from typing import Final

from rapport.notification.v1 import preference_pb2
from rapport_chassis.authored import AuthoredStore
from rapport_chassis.clock import Clock
from rapport_chassis.database.pool import Connection

from rapport_notification.app.sending import RuleBook
from rapport_notification.translate.rules import cap_in, category_in

CATEGORIES: Final = AuthoredStore("category")
CAPS: Final = AuthoredStore("cap")
_EVERY_S: Final = 0.5
_MOST: Final = 1000


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
        now = self._clock.now()
        names = sorted({each.id for each in await store.list(connection, state="active", limit=_MOST)})
        versions = [await store.active_at(connection, name, now) for name in names]
        return [(each.id, preference_pb2.UpsertRuleRequest.FromString(each.body)) for each in versions if each]
