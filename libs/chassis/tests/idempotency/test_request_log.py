"""A request takes effect once, whoever sends it how often and when."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from rapport_chassis.database.engine import Connection, Database
from rapport_chassis.errors import RapportError
from rapport_chassis.idempotency import KEPT, RequestLog

CALLER = "spiffe://rapport/client/shop"
METHOD = "rapport.consent.v1.ConsentService/RecordConsent"
EFFECT = "INSERT INTO relay_progress (stream, sequence) VALUES (%s, 1)"

log = RequestLog()


async def _nothing() -> None:
    return None


async def send(
    database: Database,
    request_id: str,
    *,
    caller: str = CALLER,
    method: str = METHOD,
    body: bytes = b"body",
    before_commit: Callable[[], Awaitable[None]] = _nothing,
) -> bytes:
    """Carry out a request whose effect is one more row and whose answer says which one."""
    async with database.transaction() as connection:
        earlier = await log.begin(connection, caller=caller, method=method, request_id=request_id, body=body)
        if earlier is not None:
            return earlier
        effect = str(uuid4())
        await connection.execute(EFFECT, [effect])
        await before_commit()
        await log.finish(
            connection, caller=caller, method=method, request_id=request_id, body=body, answer=effect.encode()
        )
    return effect.encode()


async def effects(database: Database) -> int:
    async with database.transaction() as connection:
        row = await (await connection.execute("SELECT count(*) FROM relay_progress")).fetchone()
    assert row is not None
    return int(row[0])


async def test_the_same_request_gets_the_earlier_answer(service_database: Database) -> None:
    request_id = str(uuid4())
    first = await send(service_database, request_id)
    assert await send(service_database, request_id) == first
    assert await send(service_database, request_id.upper()) == first
    assert await effects(service_database) == 1


async def test_an_empty_answer_is_an_answer(service_database: Database) -> None:
    key = {"caller": CALLER, "method": METHOD, "request_id": str(uuid4()), "body": b""}
    async with service_database.transaction() as connection:
        assert await log.begin(connection, **key) is None  # type: ignore[arg-type]
        await log.finish(connection, **key, answer=b"")  # type: ignore[arg-type]
    async with service_database.transaction() as connection:
        assert await log.begin(connection, **key) == b""  # type: ignore[arg-type]


async def test_another_body_under_the_same_id_is_refused(service_database: Database) -> None:
    request_id = str(uuid4())
    await send(service_database, request_id)
    with pytest.raises(RapportError) as caught:
        await send(service_database, request_id, body=b"other")
    assert caught.value.reason.name == "REQUEST_ID_REUSED"
    assert caught.value.fields[0].path == "request_id"
    assert await effects(service_database) == 1


async def test_an_id_belongs_to_its_caller_and_method(service_database: Database) -> None:
    request_id = str(uuid4())
    answers = {
        await send(service_database, request_id),
        await send(service_database, request_id, caller="spiffe://rapport/client/other", body=b"other"),
        await send(service_database, request_id, method="rapport.consent.v1.ConsentService/WithdrawConsent"),
    }
    assert len(answers) == 3
    assert await effects(service_database) == 3


async def test_a_request_that_failed_may_be_sent_again(service_database: Database) -> None:
    async def fail() -> None:
        raise KeyError

    request_id = str(uuid4())
    with pytest.raises(KeyError):
        await send(service_database, request_id, before_commit=fail)
    await send(service_database, request_id)
    assert await effects(service_database) == 1


async def test_a_request_still_running_is_told_when_to_come_back(service_database: Database) -> None:
    running, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        running.set()
        await go_on.wait()

    request_id = str(uuid4())
    first = asyncio.create_task(send(service_database, request_id, before_commit=wait))
    await running.wait()
    with pytest.raises(RapportError) as caught:
        await send(service_database, request_id)
    assert caught.value.reason.name == "REQUEST_IN_PROGRESS"
    assert caught.value.retry_after_s
    go_on.set()
    answer = await first
    assert await send(service_database, request_id) == answer


async def test_the_key_stops_a_second_effect_where_the_lock_came_too_late(service_database: Database) -> None:
    async def overtaken(connection: Connection) -> None:
        key = {"caller": CALLER, "method": METHOD, "request_id": str(uuid4()), "body": b"body"}
        # Without `begin` there is no lock: what a transaction sees that began while the first one committed.
        async with service_database.transaction() as faster:
            await log.finish(faster, **key, answer=b"first")  # type: ignore[arg-type]
        await connection.execute(EFFECT, ["second"])
        await log.finish(connection, **key, answer=b"second")  # type: ignore[arg-type]

    with pytest.raises(RapportError) as caught:
        async with service_database.transaction() as connection:
            await overtaken(connection)
    assert caught.value.reason.name == "REQUEST_IN_PROGRESS"
    assert await effects(service_database) == 0


async def test_twenty_identical_requests_at_once_have_one_effect(service_database: Database) -> None:
    for _ in range(5):
        before = await effects(service_database)
        request_id = str(uuid4())

        async def until_answered(request_id: str = request_id) -> bytes:
            while True:
                try:
                    return await send(service_database, request_id)
                except RapportError as error:
                    if error.reason.name != "REQUEST_IN_PROGRESS":
                        raise

        answers = await asyncio.gather(*(until_answered() for _ in range(20)))
        assert len(set(answers)) == 1
        assert await effects(service_database) == before + 1


async def test_an_id_that_is_not_a_uuid_is_refused(service_database: Database) -> None:
    with pytest.raises(RapportError) as caught:
        await send(service_database, "1'; DROP TABLE requests")
    assert caught.value.reason.name == "INVALID_REQUEST"
    assert "DROP" not in str(caught.value)


async def test_answers_are_forgotten_after_a_day_and_not_before(service_database: Database) -> None:
    old, young = str(uuid4()), str(uuid4())
    await send(service_database, old)
    await send(service_database, young)
    now = datetime.now(UTC)
    async with service_database.transaction() as connection:
        assert await log.sweep(connection, now + KEPT - timedelta(minutes=1)) == 0
        assert await log.sweep(connection, now + KEPT + timedelta(minutes=1)) == 2
    await send(service_database, old)
    assert await effects(service_database) == 3
