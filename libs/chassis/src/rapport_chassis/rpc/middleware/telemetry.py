"""Outermost: one span and one measurement for each call, whatever becomes of it."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from rapport_chassis.rpc.pipeline import Call, Handler, Method, Middleware
from rapport_chassis.telemetry.conventions import RPC_METHOD, RPC_SERVER, RPC_STATUS
from rapport_chassis.telemetry.propagation import TRACEPARENT, TRACESTATE, parse_traceparent
from rapport_chassis.telemetry.red import RedMetrics
from rapport_chassis.telemetry.setup import Telemetry


def telemetry(process: Telemetry) -> Middleware:
    """Return the middleware that records calls in the telemetry of this process."""
    red = RedMetrics(process.meter)
    start_span = process.tracer.span

    def around(method: Method, handler: Handler) -> Handler:
        span_name = RPC_SERVER.fill(method=method.full_name)
        done = red.server(method.full_name).done

        async def observed(call: Call, request: Any) -> bytes | None:
            started = perf_counter()
            header = call.text(TRACEPARENT)
            parent = parse_traceparent(header, call.text(TRACESTATE)) if header else None
            with start_span(span_name, parent=parent) as span:
                try:
                    return await handler(call, request)
                finally:
                    if span.recording:
                        span.set(RPC_METHOD, method.full_name)
                        span.set(RPC_STATUS, call.status)
                    if call.status != "OK":
                        span.fail(call.reason)
                    done(perf_counter() - started, call.status, call.reason)

        return observed

    return around
