"""Templates in PostgreSQL, those in use kept ready."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Final

from rapport.notification.v1 import template_pb2
from rapport_chassis.authored import AuthoredStore, Version, VersionState
from rapport_chassis.clock import Clock
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import RapportError

from rapport_notification.app.templates import Prepared
from rapport_notification.domain.contents import Template
from rapport_notification.domain.errors import ERRORS
from rapport_notification.domain.vocabulary import Channel
from rapport_notification.templates.checking import TemplateRefusedError
from rapport_notification.templates.preparing import prepare
from rapport_notification.templates.worker import RenderWorker
from rapport_notification.translate.templates import invalid, template_in, thing_id

STORE: Final = AuthoredStore("template")
SMS_SEGMENTS: Final = 3
KEPT_S: Final = 1.0
"""How long a process goes by what it read of the templates in force."""

_KEPT: Final = 500
_AT_ONCE: Final = 200


class TemplateShelf:
    """Versions of templates, prepared once.

    Args:
        worker: Turns MJML into HTML.
        clock: The time.
    """

    def __init__(self, worker: RenderWorker, clock: Clock) -> None:
        self._worker = worker
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str, int], Prepared] = OrderedDict()
        self._current: dict[tuple[str, str], tuple[float, Prepared]] = {}

    def forget(self) -> None:
        """Read again at once what is in force: a decision was made in this process."""
        self._current.clear()

    async def in_force(self, connection: Connection, template_id: str, brand_id: str) -> Prepared | None:
        """Return the version in force for a brand, or for all brands, as of a second ago; None if there is none."""
        now = self._clock.boottime()
        read_at, known = self._current.get((template_id, brand_id), (-KEPT_S, None))
        if now - read_at < KEPT_S:
            return known
        found = await self._in_force(connection, template_id, brand_id)
        if found is not None:
            if len(self._current) > _KEPT:
                self.forget()
            self._current[template_id, brand_id] = (now, found)
        return found

    async def _in_force(self, connection: Connection, template_id: str, brand_id: str) -> Prepared | None:
        now = self._clock.now()
        for brand in dict.fromkeys((brand_id, "")):
            found = await STORE.active_at(connection, thing_id(template_id, brand), now)
            if found is not None:
                return await self._prepared(template_id, brand, found)
        return None

    async def version(self, connection: Connection, template_id: str, brand_id: str, version: int) -> Prepared:
        """Return a version of a brand.

        Raises:
            RapportError: TEMPLATE_NOT_FOUND.
        """
        if (kept := self._kept.get((template_id, brand_id, version))) is not None:
            return kept
        try:
            found = await STORE.get(connection, thing_id(template_id, brand_id), version)
        except RapportError as error:
            raise ERRORS.error("TEMPLATE_NOT_FOUND", "there is no such version", field="version") from error
        return await self._prepared(template_id, brand_id, found)

    async def check(self, template: Template) -> None:
        """Refuse a template that could not be rendered.

        Raises:
            RapportError: TEMPLATE_INVALID.
        """
        try:
            await prepare(template, self._worker)
        except TemplateRefusedError as error:
            raise invalid(str(error), "terms.texts") from error

    async def _prepared(self, template_id: str, brand_id: str, version: Version) -> Prepared:
        key = (template_id, brand_id, version.version)
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return kept
        terms = template_pb2.TemplateTerms.FromString(version.body)
        template = template_in(template_id, brand_id, version.version, terms)
        try:
            html = await prepare(template, self._worker)
        except TemplateRefusedError as error:
            raise invalid(str(error), "terms.texts") from error
        channels = tuple(Channel(each) for each in terms.channels)
        made = Prepared(template, html, channels, terms.sms_segments or SMS_SEGMENTS)
        self._kept[key] = made
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return made


async def page(
    connection: Connection, template_id: str, state: VersionState | None, after: tuple[str, int], limit: int
) -> list[Version]:
    """Return versions by template, brand and version, those after a place; of one template if it is named."""
    found: list[Version] = []
    while len(found) < limit:
        some = await STORE.list(connection, state=state or "", after=after, limit=_AT_ONCE)
        found += [each for each in some if not template_id or each.id.startswith(f"{template_id}/")]
        if len(some) < _AT_ONCE:
            break
        after = (some[-1].id, some[-1].version)
    return found[:limit]


async def draft(
    connection: Connection, template_id: str, brand_id: str, body: bytes, *, actor: str, now: datetime
) -> Version:
    """Add a version, without effect yet."""
    return await STORE.draft(connection, thing_id(template_id, brand_id), body, actor=actor, now=now)
