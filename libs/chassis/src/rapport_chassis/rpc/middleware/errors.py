"""Turns whatever a handler raises into a status with details, and lets nothing else out."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.rpc.pipeline import Call, Handler, Method
from rapport_chassis.rpc.status import RemoteError, abort
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.telemetry.tracing import current_context

_REFUSALS = ("UNAUTHENTICATED", "PERMISSION_DENIED")


def errors(method: Method, handler: Handler) -> Handler:
    """Answer errors of the service as they are, any other exception as INTERNAL with the trace id and no text of it."""

    async def mapped(call: Call, request: Any) -> bytes | None:
        try:
            return await handler(call, request)
        except grpc.aio.BaseError as ended:  # aborted by the handler, or the other side is gone
            call.status, call.reason = _status_of(call), type(ended).__name__
            raise
        except asyncio.CancelledError:
            call.status = call.reason = "DEADLINE_EXCEEDED" if call.remaining_s() <= 0 else "CANCELLED"
            raise
        except RemoteError as remote:
            error = _of_dependency(remote)
            if error.reason.name == "INTERNAL":
                get_logger().error("dependency_refused", exc_info=remote)
        except RapportError as known:
            error = known
        except Exception as unknown:
            error = CHASSIS_ERRORS.error("INTERNAL", "internal error")
            get_logger().error("call_failed", exc_info=unknown)
        call.status, call.reason = error.reason.code, error.reason.name
        if call.status in _REFUSALS:
            get_logger().warning("call_refused", reason=call.reason)
        context = current_context()
        await abort(call.context, error, f"{context.trace_id:032x}" if context else "")
        return None

    return mapped


def _of_dependency(remote: RemoteError) -> RapportError:
    """What another service refused is no answer to our caller: it is retryable, or our fault."""
    if remote.reason.retryable:
        return CHASSIS_ERRORS.error(
            "NOT_READY", "a service this call depends on is not available", retry_after_s=remote.retry_after_s or 1.0
        )
    return CHASSIS_ERRORS.error("INTERNAL", "internal error")


def _status_of(call: Call) -> str:
    code: object = call.context.code()  # None until somebody sets one, whatever the stubs say
    return code.name if isinstance(code, grpc.StatusCode) else "CANCELLED"
