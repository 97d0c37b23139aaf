"""W3C trace context in and out of string headers (gRPC metadata, NATS headers, HTTP headers, outbox rows).

Hand-written because it runs on every call: the SDK's propagator costs several times as much. Baggage is never read
or written; `tracestate` is handed on unread, if it is short enough.
"""

import re
from collections.abc import Mapping

from opentelemetry.trace import SpanContext, TraceFlags, TraceState, get_current_span

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
TRACESTATE_LIMIT = 512
"""Longest `tracestate` handed on, in characters (the least that W3C asks a vendor to carry)."""

_VALID = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_FLAGS = tuple(TraceFlags(value) for value in range(256))


def extract(carrier: Mapping[str, str | bytes]) -> SpanContext | None:
    """The caller's span context, or None when there is none or it is malformed (a malformed one is never an error).

    Args:
        carrier: headers with lower-case names.
    """
    header = carrier.get(TRACEPARENT)
    if not isinstance(header, str):
        return None
    state = carrier.get(TRACESTATE)
    return parse_traceparent(header, state if isinstance(state, str) else None)


def parse_traceparent(traceparent: str, tracestate: str | None = None) -> SpanContext | None:
    """The span context written in a `traceparent` value; None when malformed."""
    match = _VALID.fullmatch(traceparent) if len(traceparent) <= 256 else None
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest is not None):
        return None
    state = TraceState.from_header([tracestate]) if tracestate and len(tracestate) <= TRACESTATE_LIMIT else None
    context = SpanContext(int(trace_id, 16), int(span_id, 16), True, _FLAGS[int(flags, 16)], state)
    return context if context.is_valid else None


def traceparent(context: SpanContext) -> str:
    """The `traceparent` value that names this span."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def inject() -> dict[str, str]:
    """Headers that make the receiver's span a child of the current one, or link to it; empty outside any span."""
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    headers = {TRACEPARENT: traceparent(context)}
    if context.trace_state:
        headers[TRACESTATE] = context.trace_state.to_header()
    return headers
