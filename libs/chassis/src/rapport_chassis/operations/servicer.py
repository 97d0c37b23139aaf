"""google.longrunning.Operations over the rows. An operation needs the permission of the method that started it."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, cast

from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf import descriptor_pool, empty_pb2

from rapport_chassis.clock import Clock, SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError, Resource
from rapport_chassis.operations.rows import OperationRow, OperationStore, id_of
from rapport_chassis.rpc.foreign import access_of
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.rpc.pipeline import current_call

_DEFAULT_PAGE: Final = 50
_LARGEST_PAGE: Final = 500
_POLL_S: Final = 0.2
_MARGIN_S: Final = 0.1
_LATEST: Final = (datetime(9999, 1, 1, tzinfo=UTC), "")


def require_permission_of(method: str) -> None:
    """Return if the current caller, and where the method asks for one the human operator, may call the method.

    Args:
        method: Full name, as "rapport.churn.v1.ModelService/TrainModel".

    Raises:
        RapportError: PERMISSION_DENIED, ACTOR_TOKEN_MISSING or ACTOR_PERMISSION_DENIED.
    """
    call = current_call()
    try:
        # The pool's stubs are incomplete: it returns a MethodDescriptor.
        descriptor: Any = descriptor_pool.Default().FindMethodByName(method.replace("/", "."))
        access = access_of(descriptor)
    except KeyError:
        access = None
    if access is None:
        raise CHASSIS_ERRORS.error("PERMISSION_DENIED", "the method that started the operation is not known any more")
    call.require(access.permission, human=access.human)


class OperationsServicer(operations_pb2_grpc.OperationsServicer):
    """Answers for all operations of a service.

    Args:
        database: Where the operations are.
        clock: Waits, in WaitOperation.
        authorize: Raises if the caller of the current RPC may not call the method it is given.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock | None = None,
        authorize: Callable[[str], None] = require_permission_of,
    ) -> None:
        self._database = database
        self._clock = clock or SystemClock()
        self._authorize = authorize
        self._store = OperationStore()

    async def GetOperation(  # noqa: N802
        self, request: operations_pb2.GetOperationRequest, context: Context
    ) -> operations_pb2.Operation:
        """Return the present state of an operation."""
        return (await self._authorized(request.name)).message()

    async def ListOperations(  # noqa: N802
        self, request: operations_pb2.ListOperationsRequest, context: Context
    ) -> operations_pb2.ListOperationsResponse:
        """Return the operations the caller may see, the newest first, page by page."""
        if request.filter:
            raise CHASSIS_ERRORS.error("INVALID_REQUEST", "must be empty: filters are not supported", field="filter")
        if request.page_size < 0:
            raise CHASSIS_ERRORS.error("INVALID_REQUEST", "must not be negative", field="page_size")
        size = min(request.page_size or _DEFAULT_PAGE, _LARGEST_PAGE)
        before = _position(request.page_token) if request.page_token else _LATEST
        async with self._database.transaction() as connection:
            methods = [method for method in await self._store.methods(connection) if self._may(method)]
            rows = await self._store.list(connection, methods, before=before, limit=size + 1)
        response = operations_pb2.ListOperationsResponse(operations=[row.message() for row in rows[:size]])
        if len(rows) > size:
            response.next_page_token = _token(rows[size - 1])
        return response

    async def WaitOperation(  # noqa: N802
        self, request: operations_pb2.WaitOperationRequest, context: Context
    ) -> operations_pb2.Operation:
        """Return the operation when it has ended, or as it is when the timeout or the deadline is near."""
        remaining_s = cast("float | None", context.time_remaining())  # None without a deadline
        limits = [
            *([request.timeout.ToNanoseconds() / 1e9] if request.HasField("timeout") else []),
            *([remaining_s - _MARGIN_S] if remaining_s is not None else []),
        ]
        end = self._clock.boottime() + min(limits, default=float("inf"))
        while True:
            operation = (await self._authorized(request.name)).message()
            left_s = end - self._clock.boottime()
            if operation.done or left_s <= 0:
                return operation
            await self._clock.sleep(min(_POLL_S, left_s))

    async def CancelOperation(  # noqa: N802
        self, request: operations_pb2.CancelOperationRequest, context: Context
    ) -> empty_pb2.Empty:
        """Ask for an end; nothing changes if the operation has ended."""
        row = await self._authorized(request.name)
        async with self._database.transaction() as connection:
            await self._store.cancel(connection, row.id)
        return empty_pb2.Empty()

    async def DeleteOperation(  # noqa: N802
        self, request: operations_pb2.DeleteOperationRequest, context: Context
    ) -> empty_pb2.Empty:
        """Forget an operation that has ended."""
        row = await self._authorized(request.name)
        async with self._database.transaction() as connection:
            if not await self._store.delete(connection, row.id):
                raise CHASSIS_ERRORS.error(
                    "OPERATION_RUNNING", "the operation has not ended", resource=Resource("operation", request.name)
                )
        return empty_pb2.Empty()

    async def _authorized(self, name: str) -> OperationRow:
        async with self._database.transaction() as connection:
            row = await self._store.get(connection, id_of(name))
        self._authorize(row.method)
        return row

    def _may(self, method: str) -> bool:
        try:
            self._authorize(method)
        except RapportError:
            return False
        return True


def _token(row: OperationRow) -> str:
    return urlsafe_b64encode(f"{row.created_at.isoformat()} {row.id}".encode()).decode()


def _position(token: str) -> tuple[datetime, str]:
    try:
        time, operation_id = urlsafe_b64decode(token.encode()).decode().split(" ")
        return datetime.fromisoformat(time), operation_id
    except ValueError:
        raise CHASSIS_ERRORS.error("PAGE_TOKEN_INVALID", "not a token of this list", field="page_token") from None
