"""What consent itself holds of people, as privacy requests see it: decisions, earlier requests, and their packages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Final

from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_privacy.participant.export import rows
from rapport_privacy.participant.holding import Answer, Exported, Holding, Kept, Origin, Store, StoreCount, Subject
from rapport_privacy.participant.ledger import Known, Ledger

from rapport_consent.domain.holds import CONSENTS

STATES: Final = "consent_states"
REQUESTS: Final = "privacy_requests"
PACKAGES: Final = "packages"

RECORDS_KEPT: Final = timedelta(days=730)
"""How long a request that ended is on record: 24 months, which no other purpose may use (CCPA regulations, 7101)."""

_DUTY: Final = "ACCOUNTABILITY"
_SAID: Final = "kind NOT IN ('blank', 'fence', 'merge', 'split', 'purpose')"
_CONSENTS: Final = f"""
SELECT reference, receipt_id, named_id, kind, purpose_id, brand_id, occurred_at, expires_at, reask_not_before, details,
    recorded_at
FROM ledger WHERE named_id = ANY (%s) AND {_SAID} ORDER BY position
"""  # noqa: S608 - made of constants
_REQUESTS: Final = """
SELECT request_id, state, rights, received_at, due_on, closed_at FROM privacy_requests
WHERE profile_id = ANY (%s) ORDER BY received_at, request_id
"""
_COUNTS: Final = f"""
SELECT (SELECT count(*) FROM ledger WHERE named_id = ANY (%(ids)s) AND {_SAID}),
    (SELECT count(*) FROM subject_states WHERE profile_id = ANY (%(ids)s)),
    (SELECT count(*) FROM privacy_packages JOIN privacy_requests USING (request_id)
        WHERE profile_id = ANY (%(ids)s) AND request_id <> %(request)s)
"""  # noqa: S608 - made of constants
_EARLIER: Final = """
SELECT count(*), max(coalesce(closed_at, now())) FROM privacy_requests
WHERE profile_id = ANY (%(ids)s) AND request_id <> %(request)s
"""
_UNFENCED: Final = f"""
SELECT EXISTS (SELECT FROM ledger WHERE named_id = ANY (%s) AND {_SAID}
    AND NOT EXISTS (SELECT FROM fences WHERE profile_id = named_id AND kind = 'erased'))
"""  # noqa: S608 - made of constants
_BLANK: Final = """
SELECT blank_erased_but(profile_id, %s::text[]) FROM fences WHERE profile_id = ANY (%s) AND kind = 'erased'
"""
# Who is fenced is asked for after a restore alone: they may be many.
_KNOWN: Final = """
SELECT epoch, position, NOT restoring, ARRAY (
    SELECT profile_id FROM fences
    WHERE kind = 'erased' AND EXISTS (SELECT FROM privacy_restores WHERE replayed_at IS NULL)
) FROM ledger_head
"""
# Somebody who asks for something else now, or whose records are held, keeps what was asked before.
_EXPIRE: Final = """
WITH gone AS (
    DELETE FROM privacy_requests WHERE request_id IN (
        SELECT request_id FROM privacy_requests AS old WHERE closed_at < %s AND stage = 'CLOSED'
            AND NOT EXISTS (SELECT FROM privacy_active_rights AS active WHERE active.profile_id = old.profile_id)
            AND NOT EXISTS (SELECT FROM privacy_held AS held WHERE held.profile_id = old.profile_id)
        ORDER BY closed_at LIMIT %s FOR UPDATE SKIP LOCKED)
    RETURNING request_id
), tasks AS (DELETE FROM privacy_asked_tasks USING gone WHERE gone.request_id = privacy_asked_tasks.request_id),
letters AS (DELETE FROM privacy_letters USING gone WHERE gone.request_id = privacy_letters.request_id)
SELECT count(*) FROM gone
"""
_FORGET_STATES: Final = "DELETE FROM subject_states WHERE profile_id = ANY (%s)"
_FORGET_PIECES: Final = """
DELETE FROM privacy_package_pieces USING privacy_requests AS earlier
WHERE earlier.request_id = privacy_package_pieces.request_id
    AND profile_id = ANY (%(ids)s) AND earlier.request_id <> %(request)s
"""
_FORGET_HANDED: Final = """
WITH gone AS (
    DELETE FROM privacy_handed_records USING privacy_requests AS earlier
    WHERE earlier.request_id = privacy_handed_records.request_id
        AND profile_id = ANY (%(ids)s) AND earlier.request_id <> %(request)s
    RETURNING upload_id)
DELETE FROM privacy_handed_pieces AS piece USING gone WHERE piece.upload_id = gone.upload_id
"""
_FORGET_PACKAGES: Final = """
DELETE FROM privacy_packages USING privacy_requests AS earlier
WHERE earlier.request_id = privacy_packages.request_id
    AND profile_id = ANY (%(ids)s) AND earlier.request_id <> %(request)s
"""


class ConsentHolding(Holding):
    """The `Holding` of consent. Register, vault and letters of the request that asks are that request's affair."""

    @property
    def stores(self) -> tuple[Store, ...]:
        """What consent keeps about people."""
        duty = ("LEGAL_DUTY",)
        return (
            Store(CONSENTS, "user.consent", Origin.PROVIDED, duty),
            Store(REQUESTS, "user.privacy_requests", Origin.PROVIDED, duty, kept_for=RECORDS_KEPT),
        )

    async def export(self, connection: Connection, subject: Subject) -> AsyncIterator[Exported]:
        """Yield what the person decided, refusals too, and what they asked for."""
        async for row in rows(connection, _CONSENTS, [subject.ids]):
            yield Exported(CONSENTS, row["reference"], row, row["recorded_at"])
        async for row in rows(connection, _REQUESTS, [subject.ids]):
            yield Exported(REQUESTS, row["request_id"], row, row["received_at"])

    async def count(self, connection: Connection, subject: Subject) -> Answer:
        """Say what is held, and what of it no erasure deletes."""
        consents, states, packages = await _row(connection, _COUNTS, subject)
        counts = (StoreCount(CONSENTS, consents), StoreCount(STATES, states), StoreCount(PACKAGES, packages))
        return Answer(counts, await _kept(connection, subject))

    async def erase(self, connection: Connection, subject: Subject) -> Answer:
        """Blank what the person decided, and destroy what is made for other requests, but for what a hold keeps.

        Raises:
            RapportError: NOT_READY: an id has no recorded erasure yet, so that nothing about it may be blanked.
        """
        row = await (await connection.execute(_UNFENCED, [subject.ids])).fetchone()
        if row is not None and row[0]:
            raise CHASSIS_ERRORS.error("NOT_READY", "the erasure is not recorded in the ledger yet")
        before = (await self.count(connection, subject)).stores
        consents = subject.held_in(CONSENTS)
        if not consents.everything:
            await connection.execute(_BLANK, [list(consents.record_ids), subject.ids])
        await connection.execute(_FORGET_STATES, [subject.ids])
        of_others = {"ids": subject.ids, "request": subject.request_id}
        if not subject.held_in(PACKAGES).everything:
            await connection.execute(_FORGET_PIECES, of_others)
            await connection.execute(_FORGET_PACKAGES, of_others)
            await connection.execute(_FORGET_HANDED, of_others)
        left = {each.store: each.found for each in (await self.count(connection, subject)).stores}
        held = [(store, subject.held_in(store)) for store, found in left.items() if found]
        return Answer(
            tuple(StoreCount(each.store, each.found, each.found - left[each.store]) for each in before),
            (
                *(Kept(store, left[store], reason.ground, reason.until) for store, reason in held),
                *await _kept(connection, subject),
            ),
        )

    async def expire(self, connection: Connection, store: Store, before: datetime, limit: int) -> int:
        """Forget some of the requests that ended longer ago, with their tasks and letters."""
        if store.name != REQUESTS:
            return 0
        row = await (await connection.execute(_EXPIRE, (before, limit))).fetchone()
        return int(row[0]) if row else 0


def known_from(database: Database) -> Ledger:
    """Return what the ledger's own service knows of it: all there is, unless it was restored a moment ago."""

    async def known() -> Known:
        async with database.looking() as connection:
            row = await (await connection.execute(_KNOWN)).fetchone()
        return Known() if row is None else Known(*row)

    return known


async def _kept(connection: Connection, subject: Subject) -> tuple[Kept, ...]:
    """Return the requests that are on record by law; the one that asks is not among them."""
    count, last = await _row(connection, _EARLIER, subject)
    return (Kept(REQUESTS, count, _DUTY, last + RECORDS_KEPT),) if count else ()


async def _row(connection: Connection, statement: str, subject: Subject) -> tuple[Any, ...]:
    values = {"ids": subject.ids, "request": subject.request_id}
    row = await (await connection.execute(statement.encode(), values)).fetchone()
    assert row is not None
    return row
