"""The register of privacy requests in PostgreSQL: one document a request, beside it what it is found by."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any, Final

from rapport_chassis.clock import Clock
from rapport_chassis.database.pool import Connection

from rapport_consent.adapters.request_documents import read, written
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.law import Law
from rapport_consent.domain.request_rules import next_action
from rapport_consent.domain.request_words import RequestState
from rapport_consent.domain.requests import Request
from rapport_consent.domain.rule_packs import Right

_ADD: Final = """
INSERT INTO privacy_requests (request_id, state, stage, profile_id, assignee, rights, next_action, due_on, received_at,
    closed_at, look_at, document)
VALUES (%(id)s, %(state)s, %(stage)s, %(profile_id)s, %(assignee)s, %(rights)s, %(action)s, %(due_on)s, %(received_at)s,
    %(closed_at)s, %(look_at)s, %(document)s)
"""
_SAVE: Final = """
UPDATE privacy_requests SET state = %(state)s, stage = %(stage)s, profile_id = %(profile_id)s, assignee = %(assignee)s,
    next_action = %(action)s, due_on = %(due_on)s, closed_at = %(closed_at)s, look_at = %(look_at)s,
    version = version + 1, document = %(document)s
WHERE request_id = %(id)s
"""
_TOUCH: Final = _SAVE.replace("look_at = %(look_at)s", "look_at = look_at")
_RUNNING: Final = "SELECT DISTINCT request_id FROM privacy_active_rights WHERE profile_id = %s"
_GET: Final = "SELECT document FROM privacy_requests WHERE request_id = %s"
_DUE: Final = """
SELECT request_id FROM privacy_requests WHERE look_at <= %s ORDER BY look_at LIMIT %s
"""
_WAKE: Final = """
UPDATE privacy_requests SET look_at = %s
WHERE request_id = %s AND (state IN ('RECEIVED', 'RUNNING') OR stage = 'RELEASE')
"""
_CLAIM: Final = """
INSERT INTO privacy_active_rights (profile_id, right_code, request_id)
SELECT profile_id, right_code, %(request_id)s
FROM unnest(%(ids)s::text[]) AS profile_id CROSS JOIN unnest(%(rights)s::text[]) AS right_code
ORDER BY 1, 2 ON CONFLICT (profile_id, right_code) DO NOTHING
"""
_CLAIMED: Final = """
SELECT request_id FROM privacy_active_rights
WHERE profile_id = ANY (%(ids)s) AND right_code = ANY (%(rights)s) AND request_id <> %(request_id)s LIMIT 1
"""
_UNCLAIM: Final = "DELETE FROM privacy_active_rights WHERE request_id = %s"
_OPEN_OF: Final = """
SELECT document FROM privacy_requests
WHERE profile_id = %s AND profile_id <> '' AND state IN ('RECEIVED', 'VERIFIED', 'RUNNING')
ORDER BY request_id FOR UPDATE
"""
_OPEN_STATES: Final = ("RECEIVED", "VERIFIED", "RUNNING")
_PAGE: Final = """
SELECT document, coalesce(due_on, 'infinity'::date)::text FROM privacy_requests
WHERE state = ANY (%(states)s) AND (%(assignee)s = '' OR assignee = %(assignee)s)
    AND (%(right)s = '' OR %(right)s = ANY (rights))
    AND (coalesce(due_on, 'infinity'::date), request_id) > (%(due)s::date, %(after)s)
ORDER BY coalesce(due_on, 'infinity'::date), request_id LIMIT %(limit)s
"""
_COUNTS: Final = """
SELECT next_action, count(*) FROM privacy_requests WHERE state IN ('RECEIVED', 'VERIFIED', 'RUNNING') GROUP BY 1
"""


class RequestRegister:
    """The register, in one transaction."""

    def __init__(self, connection: Connection, law: Law, clock: Clock) -> None:
        self._connection = connection
        self._law = law
        self._clock = clock

    async def add(self, request: Request, look_at: datetime | None) -> None:
        """Enter a request."""
        values = {"rights": [each.right.value for each in request.rights], "received_at": request.received_at}
        await self._connection.execute(_ADD, {**self._values(request, look_at), **values})

    async def get(self, request_id: str) -> Request:
        """Return a request.

        Raises:
            RapportError: REQUEST_NOT_FOUND.
        """
        return await self._one(_GET, request_id)

    async def hold(self, request_id: str) -> Request:
        """Return a request that nobody else changes until the transaction ends.

        Raises:
            RapportError: REQUEST_NOT_FOUND.
        """
        return await self._one(f"{_GET} FOR UPDATE", request_id)

    async def save(self, request: Request, look_at: datetime | None) -> None:
        """Keep a request that this transaction holds, and when the saga is to look at it again."""
        await self._connection.execute(_SAVE, self._values(request, look_at))

    async def due(self, now: datetime, limit: int) -> list[str]:
        """Return requests that are to be looked at, the one that waits longest first."""
        return [row[0] for row in await (await self._connection.execute(_DUE, (now, limit))).fetchall()]

    async def touch(self, request: Request) -> None:
        """Keep a request that this transaction holds; when the saga looks at it stays as it is."""
        await self._connection.execute(_TOUCH, self._values(request, None))

    async def running_about(self, profile_id: str) -> list[str]:
        """Return the requests that run for a person."""
        return [row[0] for row in await (await self._connection.execute(_RUNNING, (profile_id,))).fetchall()]

    async def wake(self, request_id: str, now: datetime) -> None:
        """Have a request looked at, if it is running."""
        await self._connection.execute(_WAKE, (now, request_id))

    async def claim(self, request: Request, profile_ids: Collection[str], rights: Collection[Right]) -> str:
        """Enter a request as the one that runs for a person and rights; return another that does, empty if none."""
        values = {"request_id": request.id, "ids": list(profile_ids), "rights": [right.value for right in rights]}
        await self._connection.execute(_CLAIM, values)
        row = await (await self._connection.execute(_CLAIMED, values)).fetchone()
        return row[0] if row else ""

    async def unclaim(self, request_id: str) -> None:
        """Let go of what a request claimed."""
        await self._connection.execute(_UNCLAIM, (request_id,))

    async def open_of(self, profile_id: str) -> list[Request]:
        """Return the open requests about a person, held until the transaction ends."""
        rows = await (await self._connection.execute(_OPEN_OF, (profile_id,))).fetchall()
        return [read(Request, row[0]) for row in rows]

    async def page(
        self,
        states: Sequence[RequestState],
        assignee: str,
        right: Right | None,
        after: tuple[str, str],
        limit: int,
    ) -> list[tuple[Request, str]]:
        """Return requests with the day they are sorted by, what is due first at the top.

        Args:
            states: States wanted; empty for all that are open.
            assignee: Assignee wanted; empty for all.
            right: Right wanted; None for all.
            after: Day and id of the last request of the page before.
            limit: How many at most.
        """
        values = {
            "states": [state.value for state in states] or list(_OPEN_STATES),
            "assignee": assignee,
            "right": right.value if right else "",
            "due": after[0],
            "after": after[1],
            "limit": limit,
        }
        rows = await (await self._connection.execute(_PAGE, values)).fetchall()
        return [(read(Request, row[0]), row[1]) for row in rows]

    async def counts(self) -> dict[str, int]:
        """Return how many requests are open, by next action."""
        return dict(await (await self._connection.execute(_COUNTS)).fetchall())

    async def _one(self, statement: str, request_id: str) -> Request:
        row = await (await self._connection.execute(statement, (request_id,))).fetchone()
        if row is None:
            raise ERRORS.error("REQUEST_NOT_FOUND", "there is no such request", field="privacy_request_id")
        return read(Request, row[0])

    def _values(self, request: Request, look_at: datetime | None) -> dict[str, Any]:
        pack = self._law.of(request)
        dues = self._law.dues(request) if request.is_open else ()
        first: date | None = dues[0].deadline.due_on if dues else None
        return {
            "id": request.id,
            "state": request.state.value,
            "stage": request.stage,
            "profile_id": request.profile_id,
            "assignee": request.assignee,
            "action": next_action(request, pack),
            "due_on": first,
            "closed_at": request.closed_at,
            "look_at": look_at,
            "document": json.dumps(written(request)),
        }
