"""Operations as rows: who may work on one is said by a lease, whose time is the database's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from google.longrunning import operations_pb2
from google.protobuf import any_pb2, struct_pb2
from google.protobuf.message import Message
from google.rpc import status_pb2

from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError, Resource

OperationState = Literal["running", "cancelling", "succeeded", "failed", "cancelled"]

KEPT: Final = timedelta(days=30)
"""How long an operation can be asked for after it was started."""

SWEEP_ROWS: Final = 1000
"""Most rows that one sweep removes."""

_PREFIX: Final = "operations/"
_UNFINISHED: Final = "('running', 'cancelling')"
_COLUMNS: Final = (
    "id, method, caller, state, request, metadata, result, error, progress, attempts, created_at, updated_at"
)
_CREATE: Final = f"""
INSERT INTO operations (id, method, caller, state, request, metadata, created_at, updated_at, expires_at)
VALUES (%s, %s, %s, 'running', %s, %s, now(), now(), now() + %s) RETURNING {_COLUMNS}
"""  # noqa: S608
_GET: Final = f"SELECT {_COLUMNS} FROM operations WHERE id = %s"  # noqa: S608
_LIST: Final = f"""
SELECT {_COLUMNS} FROM operations WHERE method = ANY(%s) AND (created_at, id) < (%s, %s)
ORDER BY created_at DESC, id DESC LIMIT %s
"""  # noqa: S608
_CLAIM: Final = f"""
UPDATE operations SET leased_by = %(worker)s, lease_until = clock_timestamp() + %(lease)s, attempts = attempts + 1
WHERE id = (
    SELECT id FROM operations
    WHERE state IN {_UNFINISHED} AND method = ANY(%(methods)s)
        AND (lease_until IS NULL OR lease_until < clock_timestamp())
    ORDER BY created_at FOR UPDATE SKIP LOCKED LIMIT 1
) RETURNING {_COLUMNS}
"""  # noqa: S608
_RENEW: Final = """
UPDATE operations SET lease_until = clock_timestamp() + %s WHERE id = %s AND leased_by = %s RETURNING state
"""
_RELEASE: Final = """
UPDATE operations SET leased_by = NULL, lease_until = NULL, attempts = attempts - 1 WHERE id = %s AND leased_by = %s
"""
_REPORT: Final = """
UPDATE operations SET progress = %s, metadata = coalesce(%s, metadata), updated_at = now()
WHERE id = %s AND leased_by = %s
"""
_END: Final = f"""
UPDATE operations SET state = %s, result = %s, error = %s, progress = CASE WHEN %s THEN 1 ELSE progress END,
    leased_by = NULL, lease_until = NULL, updated_at = now()
WHERE id = %s AND leased_by = %s AND state IN {_UNFINISHED}
"""  # noqa: S608
_CANCEL: Final = "UPDATE operations SET state = 'cancelling', updated_at = now() WHERE id = %s AND state = 'running'"
_DELETE: Final = f"DELETE FROM operations WHERE id = %s AND state NOT IN {_UNFINISHED}"  # noqa: S608
_SWEEP: Final = f"""
DELETE FROM operations WHERE id IN (
    SELECT id FROM operations WHERE expires_at < %s AND state NOT IN {_UNFINISHED} ORDER BY expires_at LIMIT %s
)
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class OperationRow:
    """One operation: serialised are request, metadata and result (`Any`), and error (`google.rpc.Status`)."""

    id: str
    method: str
    caller: str
    state: OperationState
    request: bytes
    metadata: bytes | None
    result: bytes | None
    error: bytes | None
    progress: float
    attempts: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Sequence[Any]) -> OperationRow:
        """Return the operation in a row of the table."""
        values: list[Any] = [value.astimezone(UTC) if isinstance(value, datetime) else value for value in row]
        return cls(*values)

    def message(self) -> operations_pb2.Operation:
        """Return what a caller gets; without metadata of the method's own, a Struct says method, state and progress."""
        operation = operations_pb2.Operation(name=name_of(self.id), done=self.state not in ("running", "cancelling"))
        if self.metadata is not None:
            operation.metadata.ParseFromString(self.metadata)
        else:
            summary = struct_pb2.Struct()
            summary.update({"method": self.method, "state": self.state, "progress": round(self.progress, 4)})
            operation.metadata.Pack(summary)
        if self.result is not None:
            operation.response.ParseFromString(self.result)
        if self.error is not None:
            operation.error.ParseFromString(self.error)
        return operation


def name_of(operation_id: str) -> str:
    """Return the resource name of an operation."""
    return f"{_PREFIX}{operation_id}"


def id_of(name: str) -> str:
    """Return the id in a resource name, or what there is without the prefix."""
    return name.removeprefix(_PREFIX)


def not_found(operation_id: str) -> RapportError:
    """Return the error for an operation that does not exist."""
    return CHASSIS_ERRORS.error(
        "NOT_FOUND", "there is no such operation", resource=Resource("operation", name_of(operation_id))
    )


class OperationStore:
    """The table `operations`. All methods join the caller's transaction; times are the database's."""

    async def create(
        self,
        connection: Connection,
        *,
        operation_id: str,
        method: str,
        caller: str,
        request: Message,
        metadata: Message | None = None,
    ) -> OperationRow:
        """Add an operation that any runner knowing the method will take up once the transaction is committed."""
        values = (operation_id, method, caller, request.SerializeToString(), _packed(metadata), KEPT)
        row = await (await connection.execute(_CREATE, values)).fetchone()
        assert row is not None
        return OperationRow.of(row)

    async def get(self, connection: Connection, operation_id: str) -> OperationRow:
        """Return an operation.

        Raises:
            RapportError: NOT_FOUND.
        """
        row = await (await connection.execute(_GET, (operation_id,))).fetchone()
        if row is None:
            raise not_found(operation_id)
        return OperationRow.of(row)

    async def methods(self, connection: Connection) -> list[str]:
        """Return the methods that have operations."""
        cursor = await connection.execute("SELECT DISTINCT method FROM operations ORDER BY method")
        return [method for (method,) in await cursor.fetchall()]

    async def list(
        self, connection: Connection, methods: Sequence[str], *, before: tuple[datetime, str], limit: int
    ) -> list[OperationRow]:
        """Return operations of these methods, the newest first, of those before a time and id."""
        rows = await (await connection.execute(_LIST, (list(methods), *before, limit))).fetchall()
        return [OperationRow.of(row) for row in rows]

    async def claim(
        self, connection: Connection, *, worker: str, methods: Sequence[str], lease: timedelta
    ) -> OperationRow | None:
        """Lease the oldest unfinished operation of these methods that nobody works on; None if there is none."""
        values = {"worker": worker, "methods": list(methods), "lease": lease}
        row = await (await connection.execute(_CLAIM, values)).fetchone()
        return OperationRow.of(row) if row is not None else None

    async def renew(
        self, connection: Connection, operation_id: str, *, worker: str, lease: timedelta
    ) -> OperationState | None:
        """Prolong the lease and return the state, by which a cancellation is noticed; None if the lease was lost."""
        row = await (await connection.execute(_RENEW, (lease, operation_id, worker))).fetchone()
        return row[0] if row is not None else None

    async def release(self, connection: Connection, operation_id: str, *, worker: str) -> None:
        """Give the lease back, so that another worker may go on at once; this does not count as an attempt."""
        await connection.execute(_RELEASE, (operation_id, worker))

    async def report(
        self, connection: Connection, operation_id: str, *, worker: str, progress: float, metadata: Message | None
    ) -> bool:
        """Note how far the work has come; False if the lease was lost."""
        cursor = await connection.execute(_REPORT, (progress, _packed(metadata), operation_id, worker))
        return cursor.rowcount == 1

    async def succeed(self, connection: Connection, operation_id: str, *, worker: str, result: Message) -> bool:
        """End with a result; False if the lease was lost."""
        values = ("succeeded", _packed(result), None, True, operation_id, worker)
        return (await connection.execute(_END, values)).rowcount == 1

    async def fail(
        self,
        connection: Connection,
        operation_id: str,
        *,
        worker: str,
        state: Literal["failed", "cancelled"],
        error: status_pb2.Status,
    ) -> bool:
        """End without a result; False if the lease was lost."""
        values = (state, None, error.SerializeToString(), False, operation_id, worker)
        return (await connection.execute(_END, values)).rowcount == 1

    async def cancel(self, connection: Connection, operation_id: str) -> None:
        """Ask for an end; nothing changes if the operation has ended."""
        await connection.execute(_CANCEL, (operation_id,))

    async def delete(self, connection: Connection, operation_id: str) -> bool:
        """Forget an operation that has ended; False if it has not."""
        return (await connection.execute(_DELETE, (operation_id,))).rowcount == 1

    async def sweep(self, connection: Connection, now: datetime) -> int:
        """Forget up to `SWEEP_ROWS` ended operations that were kept for `KEPT`, and return how many."""
        return (await connection.execute(_SWEEP, (now, SWEEP_ROWS))).rowcount


def _packed(message: Message | None) -> bytes | None:
    if message is None:
        return None
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed.SerializeToString()
