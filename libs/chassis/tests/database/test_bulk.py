"""What is written in bulk is read as it was, whatever it holds."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection
from rapport_chassis.database import bulk
from rapport_chassis.database.engine import Database
from rapport_chassis.settings import DatabaseSettings

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0") | st.sampled_from('\\"\t\n\r{},N'))
TIME = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
ROW = st.tuples(st.none() | TEXT, st.integers(-(2**63), 2**63 - 1), st.booleans(), st.binary(), st.none() | TIME)
IN_A_TRANSACTION_EACH = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
async def owners(database_settings: DatabaseSettings) -> AsyncIterator[AsyncConnection]:
    """A connection that may create a table."""
    assert database_settings.owner_dsn is not None
    async with await AsyncConnection.connect(database_settings.owner_dsn.get_secret_value()) as connection:
        await connection.execute("SET timezone = 'UTC'")
        await connection.execute(
            "CREATE TEMPORARY TABLE copied (n serial, a text, b bigint, c boolean, d bytea, e timestamptz)"
        )
        yield connection


@IN_A_TRANSACTION_EACH
@given(rows=st.lists(ROW, min_size=1, max_size=8))
async def test_copied_rows_are_read_as_they_were(owners: AsyncConnection, rows: list[tuple[Any, ...]]) -> None:
    await owners.execute("DELETE FROM copied")
    await bulk.copy(owners, "COPY copied (a, b, c, d, e) FROM STDIN", rows)
    assert await (await owners.execute("SELECT a, b, c, d, e FROM copied ORDER BY n")).fetchall() == rows


@IN_A_TRANSACTION_EACH
@given(texts=st.lists(TEXT), octets=st.lists(st.binary()))
async def test_arrays_are_read_as_they_were(service_database: Database, texts: list[str], octets: list[bytes]) -> None:
    async with service_database.transaction() as connection:
        parameters = (bulk.array(texts), bulk.byte_array(octets))
        found = await (await connection.execute("SELECT %s::text[], %s::bytea[]", parameters)).fetchone()
    assert found == (texts, octets)


async def test_a_value_of_another_type_is_refused(owners: AsyncConnection) -> None:
    with pytest.raises(KeyError):
        await bulk.copy(owners, "COPY copied (b) FROM STDIN", [[1.5]])
