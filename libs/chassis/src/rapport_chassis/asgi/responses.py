"""The JSON that tells an error over HTTP."""

from __future__ import annotations

from starlette.responses import JSONResponse

from rapport_chassis.asgi.errors import http_status
from rapport_chassis.errors import RapportError
from rapport_chassis.telemetry.tracing import current_context


def error_response(error: RapportError) -> JSONResponse:
    """Return the answer: reason, message and trace id, with `Retry-After` where waiting helps."""
    context = current_context()
    body = {
        "reason": error.reason.name,
        "message": error.message,
        "trace_id": f"{context.trace_id:032x}" if context else "",
    }
    headers = {} if error.retry_after_s is None else {"Retry-After": str(max(1, round(error.retry_after_s)))}
    if error.reason.name == "BODY_TOO_SLOW":
        headers["Connection"] = "close"  # whatever still comes is not waited for
    return JSONResponse(body, http_status(error.reason), headers)
