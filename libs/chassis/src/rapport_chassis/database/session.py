"""SQLModel sessions for plain use cases. A module of its own: a service that needs none never loads SQLAlchemy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from psycopg import AsyncConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolWaitError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from rapport_chassis.database.errors import as_rapport_error
from rapport_chassis.database.pool import PoolExhausted

_POOL_WAIT_S: Final = 5.0


class Sessions:
    """Makes sessions on a small pool of its own.

    Args:
        dsn: Connection string.
        options: Options of the driver's connections.
        minimum: Connections kept open.
        maximum: Most connections open, beside those of the other pool.
    """

    def __init__(self, dsn: str, options: dict[str, Any], *, minimum: int, maximum: int) -> None:
        kept = max(min(minimum, maximum), 1)
        self._engine: AsyncEngine = create_async_engine(
            "postgresql+psycopg://",
            connect_args={"async_creator_fn": lambda *_, **more: AsyncConnection.connect(dsn, **options, **more)},
            pool_size=kept,
            max_overflow=max(maximum - kept, 0),
            pool_timeout=_POOL_WAIT_S,
            pool_pre_ping=True,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Give a session for one unit of work, committed at the end, rolled back on an error."""
        with _translated():
            async with AsyncSession(self._engine, expire_on_commit=False) as session:
                yield session
                await session.commit()


@contextmanager
def _translated() -> Iterator[None]:
    """Look through SQLAlchemy's errors at those of the driver."""
    try:
        yield
    except (DBAPIError, PoolWaitError) as error:
        original = PoolExhausted() if isinstance(error, PoolWaitError) else error.orig
        translation = as_rapport_error(original) if original is not None else None
        if translation is None:
            raise
        raise translation from error
