"""Drafts the triggers and templates that ship with the service, where nobody has drafted one of that name yet."""

from __future__ import annotations

from typing import Final

from google.protobuf import json_format
from rapport.notification.v1 import template_pb2
from rapport_chassis.authored import AuthoredStore
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database

from rapport_notification.domain.triggers import Trigger
from rapport_notification.reference import load_json
from rapport_notification.translate.templates import thing_id
from rapport_notification.translate.triggers import terms_of

AUTHOR: Final = "rapport"
"""Who drafts what ships."""

_TRIGGERS: Final = AuthoredStore("trigger")
_TEMPLATES: Final = AuthoredStore("template")
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('notification.shipped', 0))"


class ShippedDrafts:
    """Drafts what ships; its people look at it, change it, and put it in force.

    Args:
        database: Where versions are.
        clock: The time.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._done = False

    async def step(self) -> bool:
        """Draft what is missing, once in the life of a process.

        Raises:
            RapportError: NOT_READY.
        """
        if self._done:
            return False
        now = self._clock.now()
        bodies = [(_TEMPLATES, name, body) for name, body in templates().items()]
        bodies += [(_TRIGGERS, name, body) for name, body in triggers().items()]
        async with self._database.transaction() as connection:
            await connection.execute(_LOCK)  # two processes that start at once
            for store, name, body in bodies:
                if not await store.list(connection, thing_id=name, limit=1):
                    await store.draft(connection, name, body, actor=AUTHOR, now=now)
        self._done = True
        return False


def triggers() -> dict[str, bytes]:
    """Return the triggers that ship, by name, as they are kept."""
    shipped = [Trigger.parse(each) for each in load_json("triggers.json")["triggers"]]
    return {each.trigger_id: terms_of(each).SerializeToString(deterministic=True) for each in shipped}


def templates() -> dict[str, bytes]:
    """Return the templates that ship, by name in the store, as they are kept."""
    found = {}
    for each in load_json("templates.json")["templates"]:
        terms = template_pb2.TemplateTerms()
        json_format.ParseDict(each["terms"], terms)
        found[thing_id(each["template_id"], "")] = terms.SerializeToString(deterministic=True)
    return found
