"""The ledger in PostgreSQL: one transaction per write, positions from the one row that every writer locks.

Inside a transaction: first all that needs no position, then the head row, then state is read, rows are written, commit.
READ COMMITTED: what is read after the lock is what earlier positions left.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from rapport.consent.v1 import ledger_pb2
from rapport_chassis.database import bulk
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.events import outbox
from rapport_chassis.events.envelope import Event
from rapport_chassis.failpoints import failpoint
from rapport_chassis.ids import new_ids

from rapport_consent.adapters import head, notices, projections, restores
from rapport_consent.adapters.catalogue import CatalogueCache
from rapport_consent.adapters.holds import HoldRows
from rapport_consent.adapters.purposes import PurposeVersions
from rapport_consent.adapters.rows import READ_COLUMNS, WRITE_COLUMNS, columns_of, row_of
from rapport_consent.app.catalogue import Catalogue
from rapport_consent.app.ledger import Known
from rapport_consent.app.restores import Restore, Verdict
from rapport_consent.domain.changes import LedgerChange
from rapport_consent.domain.history import History
from rapport_consent.domain.holds import CONSENTS, OWN, protected
from rapport_consent.domain.notices import Notice
from rapport_consent.domain.rows import LedgerRow, RowKind
from rapport_consent.translate.ledger import change_in, event_of, withhold

CHANNEL: Final = "consent_ledger"
"""Where a commit gives replicas a hint."""

_COPY_FROM: Final = 8

# Each id is looked up in an index: a subquery with an OFFSET is not joined in any other way. The planner, which knows
# neither how many ids are asked for nor at first how many rows there are, would read the whole ledger for one of them.
# An array out of a subquery has one length in its eyes, whichever it is given: it plans once, not for each execution.
_WANTED: Final = """
WITH wanted AS MATERIALIZED (
    SELECT unnest((SELECT %(ids)s::text[])) AS profile_id
    UNION
    SELECT relative.profile_id FROM unnest((SELECT %(ids)s::text[])) AS id
    CROSS JOIN LATERAL (SELECT family FROM profiles WHERE profile_id = id OFFSET 0) AS named
    CROSS JOIN LATERAL (SELECT profile_id FROM profiles WHERE profiles.family = named.family OFFSET 0) AS relative
)
"""
ROWS: Final = f"""
{_WANTED} SELECT {READ_COLUMNS} FROM wanted
CROSS JOIN LATERAL (SELECT * FROM ledger WHERE named_id = profile_id OFFSET 0) AS named ORDER BY position
"""  # noqa: S608 - made of constants
"""The rows of some people's families."""
STATES: Final = f"""
{_WANTED} SELECT profile_id, state FROM wanted
CROSS JOIN LATERAL (SELECT state FROM subject_states AS kept WHERE kept.profile_id = wanted.profile_id OFFSET 0) AS kept
"""  # noqa: S608 - made of constants
"""The states of some people's families, as they are stored."""
_INSERT: Final = f"INSERT INTO ledger ({WRITE_COLUMNS}) VALUES ({', '.join(['%s'] * 14)})"  # noqa: S608
_IMPORTED: Final = "SELECT row_key, reference FROM imported_rows WHERE row_key = ANY (%s::bytea[])"
_REMEMBER: Final = "INSERT INTO imported_rows (row_key, reference) SELECT * FROM unnest(%s::bytea[], %s::text[])"
_BLANK: Final = "SELECT blank_erased_but(id, %s::text[]) FROM unnest(%s::text[]) AS id"
_COPY: Final = f"COPY ledger ({WRITE_COLUMNS}) FROM STDIN"
_ADVANCE: Final = f"""
WITH advanced AS (
    UPDATE ledger_head SET position = %s, recorded_at = %s, purposes_at = greatest(purposes_at, %s)
)
SELECT pg_notify('{CHANNEL}', %s::bigint::text)
"""  # noqa: S608


class LedgerUnit:
    """One transaction on the ledger."""

    def __init__(self, connection: Connection, catalogue: CatalogueCache, *, restoring: bool = False) -> None:
        self.connection = connection
        self._restoring = restoring
        self._doubted_until: datetime | None = None
        self._catalogue = catalogue
        self._states: Mapping[str, bytes] = {}
        self._row_keys: dict[str, bytes] = {}
        self.told: list[ledger_pb2.LedgerChange] = []
        """What this transaction tells the gates, once it is committed."""

    async def catalogue(self) -> Catalogue:
        """Return purposes as they are now."""
        return await self._catalogue.read(self.connection)

    async def notice(self, notice_id: str, version: int, locale: str) -> Notice | None:
        """Return a published notice, in any language if none is given."""
        return await notices.read(self.connection, notice_id, version, locale)

    @property
    def versions(self) -> PurposeVersions:
        """Versions of purposes."""
        return PurposeVersions(self.connection)

    async def publish(self, notice: Notice, *, reason: str) -> Notice:
        """Publish the next version of a notice and return it with its number."""
        return await notices.publish(self.connection, notice, reason)

    async def lock(self, profile_ids: Collection[str]) -> Known:
        """Take the head of the ledger and return what is known of these ids."""
        wanted = {"ids": bulk.array(profile_ids)}
        async with self.connection.pipeline():  # one trip to the server; each statement sees what the lock let through
            locking = await self.connection.execute(head.LOCK)
            reading = await self.connection.execute(ROWS, wanted)
            stating = await self.connection.execute(STATES, wanted)
            locked = await head.locked(self.connection, locking, restoring=self._restoring)
            rows = [row_of(columns) for columns in await reading.fetchall()]
            self._states = dict(await stating.fetchall())
        self._doubted_until = locked.doubted_until
        failpoint("ledger.locked")
        catalogue = await self._catalogue.at(self.connection, locked.purposes_at)
        return Known(locked.epoch, locked.position, locked.recorded_at, catalogue, History(catalogue.traits, rows))

    async def write(self, known: Known, changes: Sequence[LedgerChange]) -> None:
        """Insert rows, projections and events, and advance the head."""
        if not changes:
            return
        events: list[Event] = []
        purposes_at = max((c.row.position for c in changes if c.row.kind is RowKind.PURPOSE), default=0)
        # A COPY cannot be part of a pipeline; for few rows one trip to the server beats it.
        async with self.connection.pipeline() if len(changes) < _COPY_FROM else nullcontext():
            await self._insert(_columns(changes, known.epoch, events), len(changes))
            told = [change_in(event) for event in events]
            await projections.store(self.connection, changes, projections.fold(self._states, told))
            # Told less than is recorded: what is in doubt is not forgotten.
            for change in told:
                for subject in change.subjects:
                    withhold(subject.states, self._doubted_until)
            await outbox.append(self.connection, events)
            await self.connection.execute(_ADVANCE, (known.position, known.recorded_at, purposes_at, known.position))
        self.told += told
        failpoint("ledger.written")

    async def _insert(self, rows: Iterator[tuple[Any, ...]], count: int) -> None:
        if count < _COPY_FROM:
            for row in rows:
                await self.connection.execute(_INSERT, row)
        else:
            await bulk.copy(self.connection, _COPY, rows)
        failpoint("ledger.inserted")

    async def restores(self) -> Sequence[Restore]:
        """Return restores of the ledger, the newest first."""
        return await restores.latest(self.connection)

    async def decide_restore(self, restored_at: datetime, decision: Verdict, *, actor: str, now: datetime) -> Restore:
        """Decide about grants that are in doubt since a restore.

        Raises:
            RapportError: RESTORE_NOT_FOUND, RESTORE_DECIDED, NOT_READY.
        """
        await self.lock([])
        return await restores.decide(self.connection, restored_at, decision, actor=actor, now=now)

    async def blank(self, profile_ids: Collection[str]) -> None:
        """Blank the rows that name these ids, which have a recorded erasure, and drop what was kept beside them.

        What a legal hold keeps stays: the holds are read here, in the transaction that deletes.
        """
        ids = list(profile_ids)
        kept = protected(await HoldRows(self.connection).of(ids), OWN, CONSENTS)
        if not kept.everything:
            await self.connection.execute(_BLANK, (sorted(kept.record_ids), ids))
        await self.connection.execute("DELETE FROM subject_states WHERE profile_id = ANY (%s::text[])", (ids,))

    async def imported(self, source: str, external_ids: Collection[str]) -> dict[str, str]:
        """Return the ledger event ids of rows imported before, by external id."""
        self._row_keys = {external_id: _row_key(source, external_id) for external_id in external_ids}
        found = await self.connection.execute(_IMPORTED, (bulk.byte_array(self._row_keys.values()),))
        earlier: dict[bytes, str] = dict(await found.fetchall())
        return {i: earlier[key] for i, key in self._row_keys.items() if key in earlier}

    async def remember_imported(self, references: Mapping[str, str]) -> None:
        """Remember rows just imported, by the external ids that were asked about before."""
        keys = bulk.byte_array(self._row_keys[external_id] for external_id in references)
        await self.connection.execute(_REMEMBER, (keys, bulk.array(references.values())))


class LedgerStore:
    """Opens transactions on the ledger."""

    def __init__(self, database: Database, committed: Callable[[ledger_pb2.LedgerChange], object]) -> None:
        """Prepare.

        Args:
            database: Where the ledger is.
            committed: Told of each change that a unit has committed: the replica of this process need not read it back.
        """
        self._database = database
        self._committed = committed
        self._catalogue = CatalogueCache()
        self._writing: set[int] = set()

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[LedgerUnit]:
        """Give a transaction: committed at the end of the block, rolled back on an error."""
        writer = 0
        try:
            async with self._database.transaction() as connection:
                writer = connection.pgconn.backend_pid
                self._writing.add(writer)
                unit = LedgerUnit(connection, self._catalogue)
                yield unit
            for change in unit.told:
                self._committed(change)
        finally:
            self._writing.discard(writer)

    def is_writing(self, backend_pid: int) -> bool:
        """Return whether a hint comes from a commit of this process, whose changes `committed` is told anyway."""
        return backend_pid in self._writing

    @asynccontextmanager
    async def restoring_unit(self) -> AsyncIterator[LedgerUnit]:
        """Give a transaction of the one who takes in what the stream tells after a restore: nobody else writes then."""
        async with self._database.transaction() as connection:
            yield LedgerUnit(connection, self._catalogue, restoring=True)

    def unit_on(self, connection: Connection) -> LedgerUnit:
        """Give a unit inside a transaction that somebody else commits, such as a consumer's."""
        return LedgerUnit(connection, self._catalogue)

    async def oldest_unpublished_s(self) -> float:
        """Return for how many seconds the oldest event has waited to be published; 0 if none waits."""
        async with self._database.transaction() as connection:
            return await outbox.oldest_unpublished_s(connection)


async def read_rows(connection: Connection, profile_ids: Collection[str]) -> list[LedgerRow]:
    """Return the rows of the families of these ids, in order of position."""
    async with connection.cursor() as cursor:
        await cursor.execute(ROWS, {"ids": list(profile_ids)})
        return [row_of(columns) for columns in await cursor.fetchall()]


def _columns(changes: Iterable[LedgerChange], epoch: str, events: list[Event]) -> Iterator[tuple[Any, ...]]:
    """Yield the columns of each row, as they are needed, and add the event that tells of it."""
    for change, event_id in zip(changes, new_ids("event"), strict=False):
        event = event_of(change, epoch, event_id)
        events.append(event)
        yield columns_of(change.row, epoch, change_in(event).SerializeToString())


def _row_key(source: str, external_id: str) -> bytes:
    """A digest, since a source may call its rows by somebody's address."""
    return sha256(f"{source}\0{external_id}".encode()).digest()
