"""Refuses calls above what the process can answer in time, at once and without a queue."""

from __future__ import annotations

from typing import Any, Final

from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.rpc.foreign import ALWAYS_ADMITTED
from rapport_chassis.rpc.pipeline import Call, Handler, Method, Middleware

_RETRY_AFTER_S: Final = 0.25


def admission(max_in_flight: int) -> Middleware:
    """Return the middleware that lets so many calls in at the same time. Health checks always come in."""
    in_flight = 0

    def around(method: Method, handler: Handler) -> Handler:
        if method.service in ALWAYS_ADMITTED:
            return handler

        async def admitted(call: Call, request: Any) -> bytes | None:
            nonlocal in_flight
            if in_flight >= max_in_flight:
                raise CHASSIS_ERRORS.error(
                    "OVERLOADED",
                    f"{max_in_flight} calls are in flight",
                    metadata={"max_in_flight": str(max_in_flight)},
                    retry_after_s=_RETRY_AFTER_S,
                )
            in_flight += 1
            try:
                return await handler(call, request)
            finally:
                in_flight -= 1

        return admitted

    return around
