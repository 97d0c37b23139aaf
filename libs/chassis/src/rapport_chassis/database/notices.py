"""Waiting for NOTIFY without looking ten times a second, as the driver does."""

from __future__ import annotations

import asyncio
from typing import Final

from psycopg import Notify

from rapport_chassis.database.pool import Connection

_READ_S: Final = 1.0


async def notices(connection: Connection, timeout_s: float | None = None) -> list[Notify]:
    """Return what the connection is told of by the channels it listens to; nothing once the time is over.

    Raises:
        psycopg.OperationalError: The connection has ended.
    """
    if told := [each async for each in connection.notifies(timeout=0)]:  # came with the answer to something else
        return told
    loop = asyncio.get_running_loop()
    readable, socket = asyncio.Event(), connection.fileno()
    loop.add_reader(socket, readable.set)
    try:
        async with asyncio.timeout(timeout_s):
            await readable.wait()
    except TimeoutError:
        return []
    finally:
        loop.remove_reader(socket)
    return [each async for each in connection.notifies(timeout=_READ_S, stop_after=1)]
