"""Where a message came from, as traces name it: kept with it, for it is sent later and by somebody else.

A trace id is random and names nobody.
"""

from __future__ import annotations

from opentelemetry.trace import SpanContext
from rapport_chassis.telemetry.propagation import parse_traceparent, traceparent
from rapport_chassis.telemetry.tracing import current_context


def traced() -> str | None:
    """Return what is under way as it is kept; None where that is not recorded."""
    context = current_context()
    return traceparent(context) if context is not None and context.trace_flags.sampled else None


def links_to(kept: str | None) -> list[SpanContext]:
    """Return the link to what was kept; none where that was not recorded."""
    context = parse_traceparent(kept) if kept is not None else None
    return [context] if context is not None else []
