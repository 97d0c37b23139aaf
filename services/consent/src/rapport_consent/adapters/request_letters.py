"""Letters of a request: previewed, edited in marked places, and kept as sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from rapport_consent.adapters.letter_texts import authority_of, letter_words
from rapport_consent.adapters.papers import letter_pdf
from rapport_consent.app.request_ports import RequestUnit
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.law import Law
from rapport_consent.domain.letters import EDITABLE, Letter, LetterFacts, LetterKind, RefusedRight, write_letter
from rapport_consent.domain.receipts import Controller
from rapport_consent.domain.request_words import Method, Outcome, RightState
from rapport_consent.domain.requests import Request
from rapport_consent.domain.tasks import TaskKind, latest

_MARKED: Final = "SELECT marked FROM privacy_letters WHERE request_id = %s AND kind = %s"
_EDIT: Final = """
INSERT INTO privacy_letters (request_id, kind, marked) VALUES (%s, %s, %s)
ON CONFLICT (request_id, kind) DO UPDATE SET marked = excluded.marked WHERE privacy_letters.sent IS NULL
"""
_KEEP: Final = """
INSERT INTO privacy_letters (request_id, kind, marked, sent) VALUES (%s, %s, '{}', %s)
ON CONFLICT (request_id, kind) DO UPDATE SET sent = excluded.sent
"""
_CERTIFICATE: Final = "SELECT certificate_id FROM privacy_certificates WHERE request_id = %s"


@dataclass(frozen=True, slots=True)
class RenderedLetter:
    """A letter in all its forms, with its places that may be edited and what stands there."""

    title: str
    html: str
    text: str
    pdf: bytes
    locale: str
    marked: Mapping[str, str]


class RequestLetters:
    """Writes letters of requests.

    Args:
        law: Until when they are answered.
        controller: Who writes.
        links: Returns where the person fetches the packages of a request, one a line; empty where nowhere.
    """

    def __init__(self, law: Law, controller: Controller, links: Callable[[Request], str] = lambda _: "") -> None:
        self._law = law
        self._controller = controller
        self._links = links

    async def preview(self, unit: RequestUnit, request: Request, kind: str, locale: str) -> RenderedLetter:
        """Return a letter as it would be sent now.

        Raises:
            RapportError: LETTER_UNKNOWN.
        """
        marked = await self._marked(unit, request, kind)
        now = await self._now(unit)
        letter = await self._write(unit, request, kind, locale, now, marked)
        places = {place: marked.get(place, "") for place in EDITABLE[letter.kind]}
        return RenderedLetter(letter.subject, letter.html, letter.text, letter_pdf(letter), letter.locale, places)

    async def edit(self, unit: RequestUnit, request: Request, kind: str, marked: Mapping[str, str]) -> RenderedLetter:
        """Keep what an officer wrote into marked places; a letter that was sent stays as it was.

        Raises:
            RapportError: LETTER_UNKNOWN, LETTER_PLACE_UNKNOWN.
        """
        now = await self._now(unit)
        await self._write(unit, request, kind, request.locale, now, marked)
        await unit.connection.execute(_EDIT, (request.id, kind, json.dumps(dict(marked))))
        return await self.preview(unit, request, kind, request.locale)

    async def keep(self, unit: RequestUnit, request: Request, kind: str, now: datetime) -> str:
        """Keep a letter as it is sent; return the hash of it in hexadecimal.

        Only here are links to packages in it: whoever previews a letter is not its addressee.

        Raises:
            RapportError: LETTER_INCOMPLETE: it lacks what the law asks for, and does not go.
        """
        marked = await self._marked(unit, request, kind)
        links = self._links(request) if kind == LetterKind.COMPLETION else ""
        letter = (await self._write(unit, request, kind, request.locale, now, marked, links)).require_sendable()
        content = letter.text.encode()
        await unit.connection.execute(_KEEP, (request.id, kind, content))
        return sha256(content).hexdigest()

    async def _marked(self, unit: RequestUnit, request: Request, kind: str) -> Mapping[str, str]:
        row = await (await unit.connection.execute(_MARKED, (request.id, kind))).fetchone()
        return row[0] if row else {}

    async def _now(self, unit: RequestUnit) -> datetime:
        row = await (await unit.connection.execute("SELECT now()")).fetchone()
        assert row is not None
        now: datetime = row[0]
        return now

    async def _write(
        self,
        unit: RequestUnit,
        request: Request,
        kind: str,
        locale: str,
        now: datetime,
        marked: Mapping[str, str],
        links: str = "",
    ) -> Letter:
        if kind not in LetterKind.__members__:
            raise ERRORS.error("LETTER_UNKNOWN", "there is no such letter", field="kind")
        certificate = await (await unit.connection.execute(_CERTIFICATE, (request.id,))).fetchone()
        pack = self._law.of(request)
        dues = [due for due in self._law.dues(request) if due.right is not None]
        refused = tuple(
            RefusedRight(
                each.right.value, each.refusal_ground, pack.refusals[each.refusal_ground].article, each.refusal_text
            )
            for each in request.rights
            if each.state in (RightState.REFUSED, RightState.REFUSAL_PROPOSED)
        )
        erased = latest(await unit.tasks.of(request.id), TaskKind.ERASE)
        kept = {
            (each.ground, each.until.date() if each.until else None)
            for task in erased.values()
            if task.answer is not None
            for each in task.answer.kept
        }
        due_on = dues[0].deadline.due_on if dues else None
        facts = LetterFacts(
            request_id=request.id,
            controller=self._controller,
            rights=tuple(each.right.value for each in request.rights),
            received_on=self._law.today(request, request.received_at),
            written_on=self._law.today(request, now),
            due_on=due_on,
            extended_to=due_on if request.extension else None,
            extension_reason=request.extension.ground if request.extension else "",
            shown_by=tuple(each.value for each in Method),
            refused=refused,
            reviewed=tuple(
                (each.right.value, each.outcome.value, each.effect)
                for each in request.rights
                if each.outcome in (Outcome.UPHELD, Outcome.CHANGED)
            ),
            kept=tuple(sorted(kept, key=str)),
            tells=tuple(pack.refusal_tells),
            authority=authority_of(request.market, self._controller),
            package_link=links,
            certificate_id=certificate[0] if certificate else "",
        )
        return write_letter(LetterKind(kind), facts, letter_words(locale), marked)
