"""Privacy requests in PostgreSQL: register, tasks, vault, holds, and the ledger beside them, in one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from rapport.consent.v1 import events_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.events import outbox
from rapport_chassis.events.envelope import event_of
from rapport_chassis.times import stamp

from rapport_consent.adapters import head, transparency_intake
from rapport_consent.adapters.handed_records import HandedRows
from rapport_consent.adapters.holds import HoldRows
from rapport_consent.adapters.ledger import LedgerStore, LedgerUnit
from rapport_consent.adapters.request_register import RequestRegister
from rapport_consent.adapters.request_tasks import TaskJournal
from rapport_consent.adapters.request_vault import RequestCodes, RequestVault
from rapport_consent.adapters.sealing import Sealer
from rapport_consent.app.ledger import Token
from rapport_consent.domain.law import Law
from rapport_consent.domain.requests import Request

# Held by the session, and so by the process: one that is killed lets go at once. A transaction would not do: the
# server ends one that waits for something else longer than some seconds, as the writing of a package may take.
_TURN: Final = "SELECT pg_try_advisory_lock(hashtextextended('privacy_request ' || %s, 0))"


class RequestUnit:
    """One transaction on privacy requests."""

    def __init__(self, ledger: LedgerUnit, sealer: Sealer, law: Law, clock: Clock) -> None:
        self.connection: Connection = ledger.connection
        self.ledger = ledger
        self.requests = RequestRegister(self.connection, law, clock)
        self.tasks = TaskJournal(self.connection, clock)
        self.handed = HandedRows(self.connection, sealer)
        self.vault = RequestVault(self.connection, sealer)
        self.codes = RequestCodes(self.connection)
        self.holds = HoldRows(self.connection)

    async def head(self) -> Token:
        """Return the committed head of the ledger."""
        return Token(*await head.committed(self.connection))

    async def closed(self, request: Request, outcome: str, now: datetime) -> None:
        """Tell everybody that a request has come to its end."""
        message = events_pb2.PrivacyRequestClosed(request_id=request.id, outcome=outcome, closed_at=stamp(now))
        await outbox.append(self.connection, [event_of(message, source="consent", occurred_at=now)])

    async def log(self, request: Request, event: str, reference: str, document: Mapping[str, str]) -> None:
        """Have something that happened to a request entered into the transparency log."""
        await transparency_intake.record(
            self.connection, reference=reference, request_id=request.id, event=event, document=dict(document)
        )

    async def forget_openings(self, request_id: str) -> None:
        """Destroy what opens the log's commitments about a request."""
        await transparency_intake.forget(self.connection, request_id)


class RequestStore:
    """Opens transactions on privacy requests."""

    def __init__(self, database: Database, ledger: LedgerStore, sealer: Sealer, law: Law, clock: Clock) -> None:
        self._database = database
        self._ledger = ledger
        self._sealer = sealer
        self._law = law
        self._clock = clock

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[RequestUnit]:
        """Give a transaction: committed at the end of the block, rolled back on an error."""
        async with self._ledger.unit() as ledger:
            yield RequestUnit(ledger, self._sealer, self._law, self._clock)

    def unit_on(self, connection: Connection) -> RequestUnit:
        """Give a unit inside a transaction that somebody else commits, such as a consumer's."""
        return RequestUnit(self._ledger.unit_on(connection), self._sealer, self._law, self._clock)

    @asynccontextmanager
    async def turn(self, request_id: str) -> AsyncIterator[bool]:
        """Take the one turn at a request's saga; whether it was free. It ends with the block, or with the process."""
        async with self._database.direct() as connection:
            row = await (await connection.execute(_TURN, (request_id,))).fetchone()
            yield bool(row and row[0])
