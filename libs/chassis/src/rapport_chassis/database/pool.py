"""A pool of connections in which giving back never waits.

`psycopg_pool` gives back in a coroutine: a task that is cancelled in it loses the connection, and the pool shrinks with
every such loss. Here a connection is back the moment `release` returns, and one in doubt is closed instead.
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus

Connection = AsyncConnection[tuple[Any, ...]]

_WAIT_S: Final = 5.0
_IDLE_S: Final = 600.0
_LIFETIME_S: Final = 3600.0


class PoolExhausted(psycopg.OperationalError):
    """All connections were in use for too long."""


class ConnectionPool:
    """Connections that are opened when they are needed and used again, the last one used first.

    A server that went away needs no care: a dead connection is noticed when it is taken, without a round trip, and a
    new one is opened in its place; while that fails, `acquire` fails at once.

    Args:
        connect: Opens a connection.
        minimum: How many are opened ahead and kept when nobody needs them.
        maximum: How many may be open.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], *, minimum: int, maximum: int) -> None:
        self._connect = connect
        self._minimum = min(minimum, maximum)
        self._slots = asyncio.Semaphore(maximum)
        self._idle: deque[tuple[Connection, float]] = deque()
        self._born: dict[Connection, float] = {}
        self._closed = False
        self._warming: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to open the minimum of connections in the background."""
        self._warming = asyncio.create_task(self._warm())

    async def close(self) -> None:
        """Close the connections; those in use are closed when they are given back."""
        self._closed = True
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.wait([self._warming])
        while self._idle:
            self._discard(self._idle.pop()[0])

    async def acquire(self) -> Connection:
        """Take a connection, which must be given back with `release`.

        Raises:
            psycopg.OperationalError: The server cannot be reached, all connections stay in use, or the pool is closed.
        """
        if self._closed:
            raise psycopg.OperationalError("the pool is closed")
        if self._slots.locked():
            await self._wait()
        else:
            await self._slots.acquire()
        try:
            while self._idle:
                connection, _ = self._idle.pop()
                if not _is_dead(connection):
                    return connection
                self._discard(connection)
            connection = await self._connect()
        except BaseException:
            self._slots.release()
            raise
        self._born[connection] = monotonic()
        return connection

    def release(self, connection: Connection) -> None:
        """Give a connection back; it is closed if it is broken, in a transaction or old."""
        now = monotonic()
        usable = connection.pgconn.transaction_status == TransactionStatus.IDLE
        if usable and not self._closed and now - self._born[connection] < _LIFETIME_S:
            self._idle.append((connection, now))
        else:
            self._discard(connection)
        self._slots.release()
        if len(self._idle) > self._minimum and now - self._idle[0][1] > _IDLE_S:
            self._discard(self._idle.popleft()[0])

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_WAIT_S):
                await self._slots.acquire()
        except TimeoutError:
            raise PoolExhausted(f"no connection became free within {_WAIT_S:.0f} s") from None

    async def _warm(self) -> None:
        opened: list[Connection] = []
        try:
            while len(opened) < self._minimum:
                opened.append(await self.acquire())
        except psycopg.Error:
            pass  # whoever needs a connection is told
        finally:
            for connection in opened:
                self.release(connection)

    def _discard(self, connection: Connection) -> None:
        del self._born[connection]
        connection.pgconn.finish()


def _is_dead(connection: Connection) -> bool:
    """Whether an idle connection has ended, as far as can be told without asking the server.

    There is something to read then: the end of file, often after a message why. A living server says something unasked
    only when its configuration is reloaded; to open another connection is right then too.
    """
    if connection.closed:
        return True
    readable = select.poll()
    readable.register(connection.fileno(), select.POLLIN)
    return bool(readable.poll(0))
