"""Gives each call its deadline: the caller's, else for a call with one answer the server's default."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.rpc.pipeline import Call, Handler, Method, Middleware


def deadline(default_s: float) -> Middleware:
    """Return the middleware that notes the deadline. gRPC itself cancels a call that is past the caller's."""

    def around(method: Method, handler: Handler) -> Handler:
        unlimited = method.request_streaming or method.response_streaming

        async def limited(call: Call, request: Any) -> bytes | None:
            remaining_s = cast("float | None", call.context.time_remaining())
            if remaining_s is not None:
                call.deadline_s = time.monotonic() + remaining_s
                return await handler(call, request)
            if unlimited:
                return await handler(call, request)
            call.deadline_s = time.monotonic() + default_s
            limit = asyncio.timeout(default_s)
            try:
                async with limit:
                    return await handler(call, request)
            except TimeoutError:
                if not limit.expired():
                    raise
                raise CHASSIS_ERRORS.error(
                    "DEADLINE_EXCEEDED",
                    f"the call came without a deadline and was given {default_s} s",
                    metadata={"default_s": str(default_s)},
                ) from None

        return limited

    return around
