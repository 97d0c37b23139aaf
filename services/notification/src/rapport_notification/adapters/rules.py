"""Categories and caps that were authored."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from rapport.notification.v1 import preference_pb2
from rapport_chassis.authored import AuthoredStore, Version
from rapport_chassis.clock import Clock
from rapport_chassis.database.pool import Connection

from rapport_notification.app.sending import RuleBook
from rapport_notification.translate.rules import cap_in, category_in

CATEGORIES: Final = AuthoredStore("category")
CAPS: Final = AuthoredStore("cap")
_MOST: Final = 1000


class Rules:
    """Reads what is in force.

    Args:
        clock: The time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def book(self, connection: Connection) -> RuleBook:
        """Return what is in force now."""
        now = self._clock.now()
        categories = await _in_force(connection, CATEGORIES, now)
        caps = await _in_force(connection, CAPS, now)
        return RuleBook(
            {each.name: category_in(each.name, each) for each in categories},
            tuple(cap_in(each.name, each) for each in caps),
        )


async def _in_force(
    connection: Connection, store: AuthoredStore, now: datetime
) -> list[preference_pb2.UpsertRuleRequest]:
    """Return the version of each that was activated last."""
    latest: dict[str, Version] = {}
    for each in await store.list(connection, state="active", limit=_MOST):
        if each.active_from is None or each.active_from > now:
            continue
        known = latest.get(each.id)
        if known is None or _order(each) > _order(known):
            latest[each.id] = each
    return [preference_pb2.UpsertRuleRequest.FromString(each.body) for each in latest.values()]


def _order(version: Version) -> Any:
    return version.active_from, version.decided_at, version.version
