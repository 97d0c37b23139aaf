"""Use case: hand over the letter of a request that waits first, at whatever stage the request is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.failpoints import failpoint
from rapport_chassis.telemetry.logs import get_logger

from rapport_consent.app.request_peers import Notices, Proofs
from rapport_consent.app.request_ports import RequestStore
from rapport_consent.app.verify_requester import NEVER
from rapport_consent.domain.law import Law
from rapport_consent.domain.letters import ANNOUNCED, LetterKind
from rapport_consent.domain.requests import IdentityQuery, Letter, Request

_IDENTITY_QUERY: Final = "IDENTITY_QUERY"


@dataclass(frozen=True)
class LetterBox:
    """Where letters are handed over.

    Attributes:
        store: Opens transactions.
        law: What the law says.
        notices: Sends them; None where nobody does: they wait to be printed.
        proofs: Writes and keeps them.
        clock: The time.
    """

    store: RequestStore
    law: Law
    notices: Notices | None
    proofs: Proofs
    clock: Clock

    async def hand_over(self, request: Request) -> bool:
        """Hand over the letter that waits first; whether that worked: where it does not, the rest goes on."""
        kind, now = request.pending[0], self.clock.now()
        today = self.law.today(request, now)
        due = next((each.deadline.due_on for each in self.law.dues(request) if each.right is not None), None)
        known = {"received_on": self.law.today(request, request.received_at), "due_on": due}
        days = {name: day for name in ANNOUNCED[LetterKind(kind)] if (day := known[name]) is not None}
        try:
            async with self.store.unit() as unit:
                vault = await unit.vault.get(request.id)
                sha256 = await self.proofs.keep_letter(unit, request, kind, now)
            reachable = vault is not None and vault.notice.reachable
            notification_id = await self._sent(request, kind, days) if reachable else ""
        except RapportError as error:
            get_logger().warning("privacy_letter_stalled", request_id=request.id, reason=error.reason.name)
            return False
        failpoint("request.letter_sent")
        async with self.store.unit() as unit:
            held = await unit.requests.hold(request.id)
            letter = Letter(kind, request.locale, sha256, notification_id, now)
            queries = (IdentityQuery(today),) if kind == _IDENTITY_QUERY and not held.verifications else ()
            told = replace(
                held,
                letters=(*held.letters, letter),
                pending=tuple(each for each in held.pending if each != kind),
                identity_queries=(*held.identity_queries, *queries),
            )
            await unit.requests.save(told, now)
        return True

    async def _sent(self, request: Request, kind: str, days: Mapping[str, date]) -> str:
        """Hand a letter to notification; empty where that sends no such letter, so that it goes by post."""
        if self.notices is None:
            return ""
        try:
            return await self.notices.send_letter(request, kind, days)
        except RapportError as error:
            if error.reason.code not in NEVER:
                raise
            get_logger().warning("privacy_letter_by_post", request_id=request.id, reason=error.reason.name)
            return ""
