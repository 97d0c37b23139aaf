"""Names the method and the caller in every line that is logged while a call is answered."""

from __future__ import annotations

from typing import Any

from rapport_chassis.rpc.pipeline import Call, Handler, Method
from rapport_chassis.telemetry.logs import set_log_context


def log_context(method: Method, handler: Handler) -> Handler:
    """Let log lines say which call they belong to."""

    async def named(call: Call, request: Any) -> bytes | None:
        set_log_context(call.log_values)
        return await handler(call, request)

    return named
