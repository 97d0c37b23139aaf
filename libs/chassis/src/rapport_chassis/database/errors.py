"""The one place where a fault of the database becomes an error a caller can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from rapport_chassis.errors import CHASSIS_ERRORS, RapportError

_RETRY_AFTER_S: Final = 1.0
_RETRY_CONFLICT_AFTER_S: Final = 0.05

# https://www.postgresql.org/docs/18/errcodes-appendix.html
_ABSENT_CLASSES: Final = frozenset({"08", "28", "53", "57", "58"})
_ABSENT_CODES: Final = frozenset(
    {
        "25006",  # read_only_sql_transaction: the server was demoted to a standby
        "25P03",  # idle_in_transaction_session_timeout: the process was suspended meanwhile
        "25P04",  # transaction_timeout
        "55P03",  # lock_not_available
    }
)
_UNMIGRATED_CODES: Final = frozenset({"42P01", "42703", "3F000"})
"""A table, a column or a schema is not there."""

_CONFLICT_CODES: Final = frozenset({"40001", "40P01"})


def as_rapport_error(error: BaseException) -> RapportError | None:
    """Return NOT_READY for a fault that passes by itself, None for anything else (a bug, a broken constraint).

    A text that cannot be stored (it holds U+0000) is INVALID_REQUEST.

    Passing faults are a lost or refused connection, an exhausted pool, a server that starts, stops or was demoted, a
    statement or lock past its time, a conflict with another transaction, and tables that the next migration brings: a
    service may start before it. The text of the database is left out: it may quote values.
    """
    if not isinstance(error, psycopg.Error):
        return None
    code = error.sqlstate
    if code is None:
        if isinstance(error, psycopg.DataError):
            return CHASSIS_ERRORS.error("INVALID_REQUEST", "a text holds a character that cannot be stored")
        if isinstance(error, psycopg.OperationalError):
            return _not_ready("the database cannot be reached", _RETRY_AFTER_S)
        return None
    if code in _CONFLICT_CODES:
        return _not_ready("another transaction was in the way", _RETRY_CONFLICT_AFTER_S)
    if code in _UNMIGRATED_CODES:
        return _not_ready("the database is not migrated to this release yet", _RETRY_AFTER_S)
    if code in _ABSENT_CODES or code[:2] in _ABSENT_CLASSES:
        return _not_ready("the database did not answer in time", _RETRY_AFTER_S)
    return None


@contextmanager
def translated() -> Iterator[None]:
    """Raise faults of the database in this block as `as_rapport_error` says, and leave every other error alone."""
    try:
        yield
    except psycopg.Error as error:
        translation = as_rapport_error(error)
        if translation is None:
            raise
        raise translation from error


def _not_ready(message: str, retry_after_s: float) -> RapportError:
    return CHASSIS_ERRORS.error("NOT_READY", message, retry_after_s=retry_after_s)
