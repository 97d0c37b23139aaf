"""Errors over HTTP: the reasons only this entrance has, and their statuses."""

from __future__ import annotations

from typing import Final

from rapport_chassis.errors import CHASSIS_ERRORS, Code, ErrorTable, RapportError, Reason

HTTP_ERRORS: Final = ErrorTable(
    "http.rapport",
    [
        Reason("PATH_UNKNOWN", "NOT_FOUND", False, "Nothing is served under this path."),
        Reason("HTTP_METHOD_REFUSED", "UNIMPLEMENTED", False, "The path does not take this HTTP method."),
        Reason("REQUEST_REFUSED", "INVALID_ARGUMENT", False, "The request cannot be understood."),
        Reason("BODY_TOO_LARGE", "RESOURCE_EXHAUSTED", False, "The body is above the size limit."),
        Reason("BODY_TOO_SLOW", "DEADLINE_EXCEEDED", True, "The body did not arrive in time."),
        Reason("LINK_INVALID", "PERMISSION_DENIED", False, "The link was not made here, or was changed."),
        Reason("LINK_PURPOSE_WRONG", "PERMISSION_DENIED", False, "The link was made for something else."),
        Reason("LINK_EXPIRED", "FAILED_PRECONDITION", False, "The link is past its time: ask for a new one."),
    ],
)
"""What every HTTP entrance can answer."""

_BY_REASON: Final = {
    "HTTP_METHOD_REFUSED": 405,
    "BODY_TOO_SLOW": 408,
    "LINK_EXPIRED": 410,
    "BODY_TOO_LARGE": 413,
}
_BY_CODE: Final[dict[Code, int]] = {  # google.rpc.Code
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "UNAUTHENTICATED": 401,
}


def http_status(reason: Reason) -> int:
    """Return the HTTP status of a reason."""
    return _BY_REASON.get(reason.name) or _BY_CODE.get(reason.code, 500)


def internal_error() -> RapportError:
    """Return the answer to a fault of the service, which says nothing about it."""
    return CHASSIS_ERRORS.error("INTERNAL", "The request failed. The trace id finds it.")
