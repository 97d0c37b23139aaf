"""Connections to a service's database: a pool for the hot path, a session for plain use cases, a direct line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import AsyncConnection, errors
from psycopg.pq import TransactionStatus

from rapport_chassis.database.commits import SNAPSHOT, Commits
from rapport_chassis.database.errors import translated
from rapport_chassis.database.pool import Connection, ConnectionPool
from rapport_chassis.settings import DatabaseSettings

if TYPE_CHECKING:
    from sqlmodel.ext.asyncio.session import AsyncSession

    from rapport_chassis.database.session import Sessions

__all__ = ["Connection", "Database", "driver_connection"]

_CONNECT_TIMEOUT_S: Final = 5
_PREPARE_AFTER: Final = 2
_KEEPALIVE: Final = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15000}


class Database:
    """One service's database, as its run-time role sees it.

    It recovers by itself when the server was away. Faults that pass leave every context manager here as NOT_READY (see
    `database.errors`).

    Args:
        settings: Where the database is; both connection strings name the run-time role.
        service: Name of the service, which the server shows as `application_name`.

    Attributes:
        commits: Lets one wait until something was written.
    """

    def __init__(self, settings: DatabaseSettings, *, service: str) -> None:
        self.commits = Commits(self._snapshot)
        self._settings = settings
        self._service = service
        self._pool: ConnectionPool | None = None
        self._sessions: Sessions | None = None

    async def open(self) -> None:
        """Begin to connect in the background; return at once, whether or not the server is there."""
        dsn, options = self._settings.dsn.get_secret_value(), self._options()
        self._pool = ConnectionPool(
            lambda: AsyncConnection.connect(dsn, **options),
            minimum=self._settings.pool_min,
            maximum=self._settings.pool_max,
        )
        self._pool.open()

    async def close(self) -> None:
        """Close all connections; those in use are closed when their block ends."""
        pool, self._pool = self._pool, None
        sessions, self._sessions = self._sessions, None
        if pool is not None:
            await pool.close()
        if sessions is not None:
            await sessions.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Give a connection whose statements form one READ COMMITTED transaction: the hot path.

        Committed at the end of the block, rolled back on an error or a cancellation. Two round trips are added to
        those of the statements (BEGIN goes out with the first of them, COMMIT at the end). Over a network, statements
        that do not need one another's rows are best put in `async with connection.pipeline()`, which sends them and
        the BEGIN in one go; on a local socket that saves nothing.

        Raises:
            RapportError: NOT_READY. If the COMMIT was on its way, its outcome is unknown: repeat with the same
                request id.
            psycopg.errors.InFailedSqlTransaction: A statement had failed and the block went on regardless.
        """
        pool = self._opened_pool()
        with translated():
            connection = await pool.acquire()
            try:
                yield connection
                if connection.pgconn.transaction_status == TransactionStatus.INERROR:
                    # The server would answer COMMIT by rolling back, and nobody would be told.
                    raise errors.InFailedSqlTransaction("an error of a statement was swallowed")
                await connection.commit()
            except BaseException:
                await _roll_back(connection)
                raise
            finally:
                pool.release(connection)

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[Connection]:
        """Give a connection in autocommit, for a look or two: each statement is a transaction, in one round trip.

        A transaction around a single statement costs three. What is read by two statements may not belong together.

        Raises:
            RapportError: NOT_READY.
        """
        pool = self._opened_pool()
        with translated():
            connection = await pool.acquire()
            try:
                await connection.set_autocommit(True)
                yield connection
                await connection.set_autocommit(False)
            except BaseException:
                # A statement that failed leaves nothing open; one that was cut off may still run.
                if connection.pgconn.transaction_status == TransactionStatus.IDLE:
                    await connection.set_autocommit(False)
                raise
            finally:
                pool.release(connection)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Give a SQLModel session for one unit of work, committed at the end, rolled back on an error.

        For plain use cases: it costs several times what `transaction` costs. Nothing expires at the commit, so that
        what was loaded can be returned.

        Raises:
            RapportError: NOT_READY, as for `transaction`.
        """
        async with self._opened_sessions().session() as session:
            yield session

    @asynccontextmanager
    async def direct(self) -> AsyncIterator[Connection]:
        """Give a connection of its own, in autocommit, that no pooler stands before: LISTEN, session advisory locks.

        It ends with the block. A lock or a LISTEN dies with the connection: whoever holds one must expect that.

        Raises:
            RapportError: NOT_READY.
        """
        with translated():
            dsn = self._settings.direct.get_secret_value()
            connection = await AsyncConnection.connect(dsn, autocommit=True, **self._options())
            try:
                yield connection
            finally:
                await connection.close()

    async def check(self) -> None:
        """Ask the server a trivial question, for health.

        Raises:
            RapportError: NOT_READY.
        """
        async with self.looking() as connection:
            await connection.execute("SELECT 1")

    async def _snapshot(self) -> str:
        async with self.looking() as connection:
            row = await (await connection.execute(SNAPSHOT)).fetchone()
        assert row is not None
        return str(row[0])

    def _opened_pool(self) -> ConnectionPool:
        if self._pool is None:
            raise RuntimeError("the database is not open")
        return self._pool

    def _opened_sessions(self) -> Sessions:
        self._opened_pool()
        if self._sessions is None:
            from rapport_chassis.database.session import Sessions

            self._sessions = Sessions(
                self._settings.dsn.get_secret_value(),
                self._options(),
                minimum=self._settings.pool_min,
                maximum=self._settings.pool_max,
            )
        return self._sessions

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "application_name": f"rapport-{self._service}",
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "prepare_threshold": _PREPARE_AFTER if self._settings.prepared_statements else None,
            **_KEEPALIVE,
        }
        if self._settings.prepared_statements:
            # A pooler that cannot keep statements does not take start-up options either; there the role's hold.
            timeout_ms = round(self._settings.statement_timeout_s * 1000)
            options["options"] = f"-c statement_timeout={timeout_ms} -c timezone=UTC"
        return options


async def driver_connection(session: AsyncSession) -> Connection:
    """Return the driver's connection under a session: same transaction, for SQL such as the outbox's.

    It is the session's: do not commit, close or keep it.
    """
    raw = await (await session.connection()).get_raw_connection()
    connection = raw.driver_connection
    if not isinstance(connection, AsyncConnection):
        raise TypeError(f"not a connection of psycopg: {type(connection)}")
    return connection


async def _roll_back(connection: Connection) -> None:
    # Where it fails or is cancelled, the pool finds the connection in a transaction and closes it.
    with suppress(psycopg.Error):
        await connection.rollback()
