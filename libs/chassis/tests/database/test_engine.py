"""Transactions commit or leave no trace; nothing leaks; the pool outlives the server."""

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from rapport_chassis.database.engine import Database, driver_connection
from rapport_chassis.database.notices import notices
from rapport_chassis.database.tables import service_base
from rapport_chassis.errors import RapportError
from rapport_chassis.settings import DatabaseSettings
from rapport_testing.postgres import PostgresServer
from rapport_testing.waiting import eventually
from sqlalchemy import func
from sqlmodel import Field, select

INSERT = "INSERT INTO inbox (consumer, event_id) VALUES (%s, %s)"


class Inbox(service_base("engine_test"), table=True):  # type: ignore[misc, call-arg]
    consumer: str = Field(primary_key=True)
    event_id: str = Field(primary_key=True)


async def _count(database: Database, consumer: str = "c") -> int:
    async with database.transaction() as connection:
        cursor = await connection.execute("SELECT count(*) FROM inbox WHERE consumer = %s", [consumer])
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def test_a_transaction_commits_at_its_end_and_not_before(service_database: Database) -> None:
    async with service_database.transaction() as connection:
        await connection.execute(INSERT, ["c", "1"])
        assert await _count(service_database) == 0
    assert await _count(service_database) == 1


async def test_an_error_rolls_back_and_passes_through(service_database: Database) -> None:
    async def fail() -> None:
        async with service_database.transaction() as connection:
            await connection.execute(INSERT, ["c", "1"])
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert await _count(service_database) == 0


async def test_statements_may_be_sent_in_one_go(service_database: Database) -> None:
    async with service_database.transaction() as connection, connection.pipeline():
        for number in range(3):
            await connection.execute(INSERT, ["c", str(number)])
    assert await _count(service_database) == 3


async def test_a_broken_constraint_is_not_taken_for_an_absent_database(service_database: Database) -> None:
    async def insert_twice() -> None:
        async with service_database.transaction() as connection:
            for _ in range(2):
                await connection.execute(INSERT, ["c", "1"])

    async def insert_twice_in_one_go() -> None:
        async with service_database.transaction() as connection, connection.pipeline():
            for _ in range(2):
                await connection.execute(INSERT, ["c", "1"])

    for insert in (insert_twice, insert_twice_in_one_go):
        with pytest.raises(psycopg.errors.UniqueViolation):
            await insert()
    assert await _count(service_database) == 0


async def test_a_swallowed_error_does_not_pass_for_a_commit(service_database: Database) -> None:
    async def swallow() -> None:
        async with service_database.transaction() as connection:
            await connection.execute(INSERT, ["c", "1"])
            with suppress(psycopg.errors.UniqueViolation):
                await connection.execute(INSERT, ["c", "1"])

    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        await swallow()
    assert await _count(service_database) == 0


async def test_a_text_that_cannot_be_stored_is_a_fault_of_the_request(service_database: Database) -> None:
    with pytest.raises(RapportError) as caught:
        async with service_database.transaction() as connection:
            await connection.execute(INSERT, ["c", "secret\0"])
    assert caught.value.reason.name == "INVALID_REQUEST"
    assert "secret" not in str(caught.value)
    await service_database.check()


async def test_a_session_and_its_driver_connection_share_one_transaction(service_database: Database) -> None:
    counted = select(func.count()).select_from(Inbox)

    async def fail_in_the_middle() -> None:
        async with service_database.session() as session:
            session.add(Inbox(consumer="c", event_id="1"))
            await session.flush()
            await (await driver_connection(session)).execute(INSERT, ["c", "2"])
            assert (await session.exec(counted)).one() == 2
            raise KeyError

    with pytest.raises(KeyError):
        await fail_in_the_middle()
    assert await _count(service_database) == 0
    async with service_database.session() as session:
        session.add(Inbox(consumer="c", event_id="1"))
    assert await _count(service_database) == 1


async def test_a_direct_connection_listens_and_a_notification_arrives_at_the_commit(service_database: Database) -> None:
    async with service_database.direct() as listener:
        await listener.execute("LISTEN hint")
        assert await notices(listener, 0.01) == []
        waiting = asyncio.create_task(notices(listener))
        async with service_database.transaction() as connection:
            await connection.execute("NOTIFY hint")
            assert not waiting.done()
        assert [note.channel for note in await waiting] == ["hint"]

        async with service_database.transaction() as connection:
            await connection.execute("NOTIFY hint, 'again'")
        await listener.execute("SELECT 1")  # its answer brings the notification along
        assert [note.payload for note in await notices(listener)] == ["again"]

        async with service_database.transaction() as connection:
            await connection.execute("SELECT pg_terminate_backend(%s)", [listener.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            await notices(listener)


@pytest.mark.parametrize("prepared", [True, False])
async def test_statements_are_prepared_only_where_that_is_allowed(
    database_settings: DatabaseSettings, prepared: bool
) -> None:
    settings = database_settings.model_copy(update={"prepared_statements": prepared, "pool_max": 1})
    database = Database(settings, service="sample")
    await database.open()
    try:
        for number in range(4):
            async with database.transaction() as connection:
                await connection.execute(INSERT, ["c", str(number)])
        async with database.transaction() as connection:
            cursor = await connection.execute("SELECT count(*) > 0 FROM pg_prepared_statements")
            assert await cursor.fetchone() == (prepared,)
            cursor = await connection.execute("SHOW statement_timeout")
            assert await cursor.fetchone() == ("5s",)
    finally:
        await database.close()


async def test_a_statement_past_its_time_is_not_ready_and_the_connection_stays_usable(
    database_settings: DatabaseSettings,
) -> None:
    settings = database_settings.model_copy(update={"statement_timeout_s": 0.05, "pool_max": 1})
    database = Database(settings, service="sample")
    await database.open()
    try:
        with pytest.raises(RapportError) as caught:
            async with database.transaction() as connection:
                await connection.execute("SELECT pg_sleep(10)")
        assert caught.value.reason.name == "NOT_READY"
        assert caught.value.retry_after_s
        await database.check()
    finally:
        await database.close()


async def test_tables_that_the_next_migration_brings_are_waited_for(service_database: Database) -> None:
    for statement in ("SELECT * FROM of_the_next_release", "SELECT of_the_next_release FROM requests"):
        with pytest.raises(RapportError) as caught:
            async with service_database.transaction() as connection:
                await connection.execute(statement)
        assert caught.value.reason.name == "NOT_READY"


async def test_a_transaction_killed_by_a_conflict_may_be_retried(service_database: Database) -> None:
    async with service_database.transaction() as connection:
        await connection.execute("INSERT INTO relay_progress VALUES ('a', 0), ('b', 0)")
    both = asyncio.Barrier(2)

    async def update(first: str, second: str) -> None:
        async with service_database.transaction() as connection:
            await connection.execute("UPDATE relay_progress SET sequence = 1 WHERE stream = %s", [first])
            await both.wait()
            await connection.execute("UPDATE relay_progress SET sequence = 1 WHERE stream = %s", [second])

    outcomes = await asyncio.gather(update("a", "b"), update("b", "a"), return_exceptions=True)
    errors = [outcome for outcome in outcomes if outcome is not None]
    assert len(errors) == 1
    assert isinstance(errors[0], RapportError)
    assert errors[0].reason.retryable


@pytest.mark.parametrize("kind", ["transaction", "pipeline", "session"])
async def test_cancelled_tasks_neither_leak_nor_poison_connections(
    database_settings: DatabaseSettings, kind: str
) -> None:
    database = Database(database_settings.model_copy(update={"pool_max": 4, "pool_min": 4}), service="sample")
    await database.open()
    chance = random.Random(kind)

    async def work(number: int) -> None:
        if kind == "session":
            async with database.session() as session:
                await (await driver_connection(session)).execute(INSERT, ["done", str(number)])
                await session.exec(select(func.pg_sleep(0.002)))
        elif kind == "pipeline":
            async with database.transaction() as connection, connection.pipeline():
                await connection.execute(INSERT, ["done", str(number)])
                await connection.execute("SELECT pg_sleep(0.002)")
        else:
            async with database.transaction() as connection:
                await connection.execute(INSERT, ["done", str(number)])
                await connection.execute("SELECT pg_sleep(0.002)")

    finished = 0
    try:
        for start in range(0, 200, 10):
            tasks = [asyncio.create_task(work(start + number)) for number in range(10)]
            for task in tasks:
                asyncio.get_running_loop().call_later(chance.uniform(0, 0.02), task.cancel)
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            finished += sum(outcome is None for outcome in outcomes)
            assert all(outcome is None or isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        # Cancelled in its COMMIT, a transaction may be there; a finished one must be.
        assert finished <= await _count(database, "done") < 200
        held = asyncio.Barrier(5)

        async def hold() -> None:
            async with database.transaction() as connection:
                await connection.execute("SELECT 1")
                await held.wait()

        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(hold())
            await held.wait()
        idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state ~ 'transaction'"
        async with database.direct() as connection:
            cursor = await connection.execute(idle)
            assert await cursor.fetchone() == (0,)
    finally:
        await database.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[PostgresServer]:
    with PostgresServer(tmp_path / "data", durable=False) as server:
        yield server


@pytest.fixture
async def mortal(own_server: PostgresServer) -> AsyncIterator[Database]:
    """A database on a server that may be killed."""
    settings = DatabaseSettings(dsn=SecretStr(own_server.dsn()), pool_min=4, pool_max=4)
    database = Database(settings, service="sample")
    await database.open()
    yield database
    await database.close()


async def _use(database: Database, kind: str) -> None:
    if kind == "session":
        async with database.session() as session:
            await session.exec(select(1))
    else:
        await database.check()


@pytest.mark.parametrize("kind", ["transaction", "session"])
async def test_the_pool_recovers_by_itself_when_the_server_was_killed(
    own_server: PostgresServer, mortal: Database, kind: str
) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(_use(mortal, kind))

    async def lose_the_server() -> None:
        async with mortal.transaction() as connection:
            await connection.execute("SELECT 1")
            own_server.kill()
            await connection.execute("SELECT 1")

    with pytest.raises(RapportError) as during:
        await lose_the_server()
    assert during.value.reason.name == "NOT_READY"
    with pytest.raises(RapportError) as absent:
        async with asyncio.timeout(10):
            await _use(mortal, kind)
    assert absent.value.reason.name == "NOT_READY"
    assert own_server.dsn() not in str(absent.value)
    own_server.start()

    async def recovered() -> bool:
        try:
            await _use(mortal, kind)
        except RapportError:
            return False
        return True

    await eventually(recovered, timeout_s=10)
    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(_use(mortal, kind))


@pytest.mark.parametrize("kind", ["transaction", "session"])
async def test_connections_that_died_while_idle_are_never_given_out(
    own_server: PostgresServer, mortal: Database, kind: str
) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(_use(mortal, kind))
    own_server.kill()
    own_server.start()
    for _ in range(8):
        await _use(mortal, kind)


async def test_it_opens_while_the_server_is_away(own_server: PostgresServer) -> None:
    own_server.stop()
    database = Database(DatabaseSettings(dsn=SecretStr(own_server.dsn())), service="sample")
    await database.open()
    try:
        with pytest.raises(RapportError, match="NOT_READY"):
            async with database.direct():
                pass
        own_server.start()
        await database.check()
    finally:
        await database.close()


async def test_a_one_insert_transaction_is_printed_beside_bare_psycopg(
    service_database: Database, database_settings: DatabaseSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    async def ours(key: str) -> None:
        async with service_database.transaction() as connection:
            await connection.execute(INSERT, ["ours", key])

    async def ours_pipelined(key: str) -> None:
        async with service_database.transaction() as connection, connection.pipeline():
            await connection.execute(INSERT, ["pipelined", key])

    bare_connection: Any = await psycopg.AsyncConnection.connect(database_settings.dsn.get_secret_value())

    async def bare(key: str) -> None:
        await bare_connection.execute(INSERT, ["bare", key])
        await bare_connection.commit()

    contenders: dict[str, Callable[[str], Awaitable[None]]] = {
        "bare psycopg": bare,
        "transaction()": ours,
        "transaction() and pipeline()": ours_pipelined,
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(100):
        for name, contender in contenders.items():
            begun = time.perf_counter()
            await contender(str(number))
            times[name].append(time.perf_counter() - begun)
    await bare_connection.close()
    floor = statistics.median(times["bare psycopg"])
    with capsys.disabled():
        for name, seconds in times.items():
            median = statistics.median(seconds)
            print(f"\n  one insert, {name}: {median * 1e6:.0f} us ({median / floor:.2f}x)", end="")  # noqa: T201
    assert await _count(service_database, "ours") == 100
