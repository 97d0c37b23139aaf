"""Operations are run once, to their end, whoever is killed meanwhile; their states are told as google.longrunning."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.longrunning import operations_pb2
from google.protobuf import duration_pb2, struct_pb2, wrappers_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.operations import OperationRunner, OperationsServicer, OperationStore, Running, Work
from rapport_chassis.operations.rows import KEPT, OperationRow
from rapport_chassis.settings import DatabaseSettings
from rapport_testing.waiting import eventually

TRAIN = "sample.v1.Sample/Train"
CALLER = "spiffe://rapport/client/analyst"
REQUEST = wrappers_pb2.StringValue(value="request")


class Context:
    """The part of gRPC's context that the servicer uses."""

    def __init__(self, remaining_s: float | None = None) -> None:
        self._remaining_s = remaining_s

    def time_remaining(self) -> float | None:
        return self._remaining_s


StartRunner = Callable[..., Awaitable[OperationRunner]]


@pytest.fixture
async def start_runner(service_database: Database) -> AsyncIterator[StartRunner]:
    """Start a runner with the given work; it stops with the test."""
    async with AsyncExitStack() as stack:

        async def start(work: Work, method: str = TRAIN, **options: Any) -> OperationRunner:
            runner = OperationRunner(service_database, **{"lease_s": 1, "poll_s": 0.02, **options})
            runner.register(method, work)
            await runner.start()
            stack.push_async_callback(runner.stop)
            return runner

        yield start


async def submit(database: Database, method: str = TRAIN) -> str:
    runner = OperationRunner(database)
    runner.register(method, _echo)
    async with database.transaction() as connection:
        operation = await runner.submit(connection, method=method, caller=CALLER, request=REQUEST)
    assert not operation.done
    return operation.name


async def _echo(running: Running) -> Message:
    return wrappers_pb2.StringValue(value=wrappers_pb2.StringValue.FromString(running.request).value.upper())


def servicer(database: Database, *denied: str) -> Any:
    def authorize(method: str) -> None:
        if method in denied:
            raise CHASSIS_ERRORS.error("PERMISSION_DENIED", "the caller does not hold it")

    return OperationsServicer(database, authorize=authorize)


async def get(database: Database, name: str) -> operations_pb2.Operation:
    operation: operations_pb2.Operation = await servicer(database).GetOperation(
        operations_pb2.GetOperationRequest(name=name), Context()
    )
    return operation


async def ended(database: Database, name: str) -> operations_pb2.Operation:
    async def look() -> operations_pb2.Operation | None:
        operation = await get(database, name)
        return operation if operation.done else None

    operation = await eventually(look)
    assert operation is not None
    return operation


def summary(operation: operations_pb2.Operation) -> dict[str, Any]:
    unpacked = struct_pb2.Struct()
    assert operation.metadata.Unpack(unpacked)
    return dict(unpacked)


async def row_of(database: Database, name: str) -> OperationRow:
    async with database.transaction() as connection:
        return await OperationStore().get(connection, name.removeprefix("operations/"))


async def test_an_operation_ends_with_the_result_of_its_work(
    service_database: Database, start_runner: StartRunner
) -> None:
    name = await submit(service_database)
    await start_runner(_echo)
    operation = await ended(service_database, name)
    result = wrappers_pb2.StringValue()
    assert operation.response.Unpack(result)
    assert result.value == "REQUEST"
    assert summary(operation) == {"method": TRAIN, "state": "succeeded", "progress": 1.0}


async def test_nothing_is_started_by_a_transaction_that_is_rolled_back(
    service_database: Database, start_runner: StartRunner
) -> None:
    async def fail() -> None:
        runner = OperationRunner(service_database)
        runner.register(TRAIN, _echo)
        async with service_database.transaction() as connection:
            await runner.submit(connection, method=TRAIN, caller=CALLER, request=REQUEST)
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    later = await submit(service_database)
    await start_runner(_echo)
    await ended(service_database, later)
    async with service_database.transaction() as connection:
        row = await (await connection.execute("SELECT count(*) FROM operations")).fetchone()
    assert row == (1,)


async def test_progress_and_metadata_are_told_while_it_runs(
    service_database: Database, start_runner: StartRunner
) -> None:
    go_on = asyncio.Event()

    async def work(running: Running) -> Message:
        await running.report(0.5)
        await go_on.wait()
        await running.report(2, wrappers_pb2.StringValue(value="nearly"))
        return wrappers_pb2.StringValue()

    name = await submit(service_database)
    await start_runner(work)

    async def half_way() -> bool:
        return summary(await get(service_database, name))["progress"] == 0.5

    await eventually(half_way)
    go_on.set()
    metadata = wrappers_pb2.StringValue()
    assert (await ended(service_database, name)).metadata.Unpack(metadata)
    assert metadata.value == "nearly"


async def test_a_refusal_of_the_work_is_the_error_of_the_operation(
    service_database: Database, start_runner: StartRunner
) -> None:
    async def refuse(running: Running) -> Message:
        raise CHASSIS_ERRORS.error("INVALID_REQUEST", "too few rows", field="window")

    name = await submit(service_database)
    await start_runner(refuse)
    error = (await ended(service_database, name)).error
    info = error_details_pb2.ErrorInfo()
    assert (error.code, error.message) == (code_pb2.INVALID_ARGUMENT, "too few rows")
    assert error.details[0].Unpack(info)
    assert info.reason == "INVALID_REQUEST"


async def test_an_unknown_fault_tells_nothing(service_database: Database, start_runner: StartRunner) -> None:
    async def fail(running: Running) -> Message:
        raise KeyError("anna@example.com")

    name = await submit(service_database)
    await start_runner(fail)
    error = (await ended(service_database, name)).error
    assert error.code == code_pb2.INTERNAL
    assert b"anna" not in error.SerializeToString()


async def test_a_passing_fault_is_tried_again_and_not_for_ever(
    service_database: Database, start_runner: StartRunner
) -> None:
    attempts: list[int] = []

    async def never_ready(running: Running) -> Message:
        attempts.append(running.attempt)
        raise CHASSIS_ERRORS.error("NOT_READY", "not now")

    name = await submit(service_database)
    await start_runner(never_ready, lease_s=0.1)
    assert (await ended(service_database, name)).error.code == code_pb2.INTERNAL
    assert attempts == [1, 2, 3, 4, 5]


async def test_a_cancelled_operation_stops_its_work(service_database: Database, start_runner: StartRunner) -> None:
    began, stopped = asyncio.Event(), asyncio.Event()

    async def work(running: Running) -> Message:
        began.set()
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            stopped.set()

    name = await submit(service_database)
    await start_runner(work, lease_s=0.3)
    await began.wait()
    cancel = operations_pb2.CancelOperationRequest(name=name)
    await servicer(service_database).CancelOperation(cancel, Context())
    operation = await ended(service_database, name)
    assert stopped.is_set()
    assert operation.error.code == code_pb2.CANCELLED
    await servicer(service_database).CancelOperation(cancel, Context())
    assert await get(service_database, name) == operation


async def test_an_operation_cancelled_before_it_began_never_begins(
    service_database: Database, start_runner: StartRunner
) -> None:
    async def work(running: Running) -> Message:
        raise AssertionError

    name = await submit(service_database)
    await servicer(service_database).CancelOperation(operations_pb2.CancelOperationRequest(name=name), Context())
    await start_runner(work)
    assert (await ended(service_database, name)).error.code == code_pb2.CANCELLED


async def test_a_killed_process_leaves_its_operation_to_another(
    service_database: Database, database_settings: DatabaseSettings, start_runner: StartRunner
) -> None:
    name = await submit(service_database)
    script = Path(__file__).with_name("worker.py")
    dsn = database_settings.dsn.get_secret_value()
    process = await asyncio.create_subprocess_exec(sys.executable, script, dsn)
    try:

        async def under_way() -> bool:
            return (await row_of(service_database, name)).progress == 0.25

        await eventually(under_way, timeout_s=30)
    finally:
        process.kill()
        await process.wait()
    attempts: list[int] = []

    async def work(running: Running) -> Message:
        attempts.append(running.attempt)
        return await _echo(running)

    await start_runner(work)
    assert (await ended(service_database, name)).HasField("response")
    assert attempts == [2]


async def test_a_stopped_process_hands_its_operation_over_at_once(
    service_database: Database, start_runner: StartRunner
) -> None:
    began = asyncio.Event()

    async def work(running: Running) -> Message:
        began.set()
        return await asyncio.get_running_loop().create_future()

    name = await submit(service_database)
    first = await start_runner(work, lease_s=3600)
    await began.wait()
    await first.stop()
    await start_runner(_echo)
    assert (await ended(service_database, name)).HasField("response")
    assert (await row_of(service_database, name)).attempts == 1


async def test_who_lost_the_lease_writes_no_end(service_database: Database, start_runner: StartRunner) -> None:
    began, stopped = asyncio.Event(), asyncio.Event()

    async def work(running: Running) -> Message:
        began.set()
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            stopped.set()

    name = await submit(service_database)
    await start_runner(work, lease_s=0.3)
    await began.wait()
    async with service_database.transaction() as connection:
        await connection.execute("UPDATE operations SET leased_by = 'other', lease_until = now() + interval '1 hour'")
    await asyncio.wait_for(stopped.wait(), 10)
    assert not (await get(service_database, name)).done


async def test_many_runners_run_each_operation_once(service_database: Database, start_runner: StartRunner) -> None:
    runs: list[str] = []

    async def work(running: Running) -> Message:
        runs.append(running.operation_id)
        return await _echo(running)

    names = [await submit(service_database) for _ in range(20)]
    for _ in range(3):
        await start_runner(work, parallel=3)
    for name in names:
        await ended(service_database, name)
    assert sorted(runs) == sorted(name.removeprefix("operations/") for name in names)


def test_the_work_of_a_method_is_registered_once(service_database: Database) -> None:
    runner = OperationRunner(service_database)
    runner.register(TRAIN, _echo)
    with pytest.raises(ValueError, match="twice"):
        runner.register(TRAIN, _echo)


async def test_waiting_returns_at_the_end_or_when_the_time_is_up(
    service_database: Database, start_runner: StartRunner
) -> None:
    name = await submit(service_database)
    waiting = servicer(service_database)
    brief = operations_pb2.WaitOperationRequest(name=name, timeout=duration_pb2.Duration(nanos=1000))
    assert not (await waiting.WaitOperation(brief, Context())).done
    assert not (await waiting.WaitOperation(operations_pb2.WaitOperationRequest(name=name), Context(0.15))).done
    long = asyncio.create_task(waiting.WaitOperation(operations_pb2.WaitOperationRequest(name=name), Context(60)))
    await start_runner(_echo)
    assert (await long).done


async def test_only_an_ended_operation_can_be_deleted(service_database: Database, start_runner: StartRunner) -> None:
    name = await submit(service_database)
    delete = operations_pb2.DeleteOperationRequest(name=name)
    with pytest.raises(RapportError, match="OPERATION_RUNNING"):
        await servicer(service_database).DeleteOperation(delete, Context())
    await start_runner(_echo)
    await ended(service_database, name)
    await servicer(service_database).DeleteOperation(delete, Context())
    with pytest.raises(RapportError, match="NOT_FOUND"):
        await get(service_database, name)


@pytest.mark.parametrize("rpc", ["GetOperation", "WaitOperation", "CancelOperation", "DeleteOperation"])
async def test_an_operation_needs_the_permission_of_the_method_that_started_it(
    service_database: Database, rpc: str
) -> None:
    name = await submit(service_database)
    request = getattr(operations_pb2, f"{rpc}Request")(name=name)
    with pytest.raises(RapportError, match="PERMISSION_DENIED"):
        await getattr(servicer(service_database, TRAIN), rpc)(request, Context())
    assert (await row_of(service_database, name)).state == "running"


async def test_the_list_holds_what_the_caller_may_see_page_by_page(service_database: Database) -> None:
    names = [await submit(service_database, method) for method in (TRAIN, "sample.v1.Sample/Other") * 3]
    listing = servicer(service_database, "sample.v1.Sample/Other")
    seen: list[str] = []
    token = ""
    while True:
        request = operations_pb2.ListOperationsRequest(page_size=2, page_token=token)
        page = await listing.ListOperations(request, Context())
        seen += [operation.name for operation in page.operations]
        token = page.next_page_token
        if not token:
            break
    assert seen == list(reversed(names[::2]))


@pytest.mark.parametrize(
    ("request_fields", "refusal"),
    [
        ({"page_token": "e"}, "PAGE_TOKEN_INVALID"),
        ({"page_token": "\xe9"}, "PAGE_TOKEN_INVALID"),
        ({"page_token": "MjAzMC0wMS0wMSBhIGI="}, "PAGE_TOKEN_INVALID"),
        ({"page_size": -1}, "INVALID_REQUEST"),
        ({"filter": "done=true"}, "INVALID_REQUEST"),
    ],
)
async def test_a_list_that_cannot_be_given_is_refused(
    service_database: Database, request_fields: dict[str, Any], refusal: str
) -> None:
    with pytest.raises(RapportError, match=refusal):
        await servicer(service_database).ListOperations(
            operations_pb2.ListOperationsRequest(**request_fields), Context()
        )


async def test_ended_operations_are_swept_when_their_time_has_come(
    service_database: Database, start_runner: StartRunner
) -> None:
    done = await submit(service_database)
    await start_runner(_echo)
    await ended(service_database, done)
    running = await submit(service_database, "sample.v1.Sample/Other")
    now = datetime.now(UTC)
    store = OperationStore()
    async with service_database.transaction() as connection:
        assert await store.sweep(connection, now + KEPT - timedelta(minutes=5)) == 0
        assert await store.sweep(connection, now + KEPT + timedelta(minutes=5)) == 1
    assert not (await get(service_database, running)).done
