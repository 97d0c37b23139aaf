"""What every HTTP request passes before a route sees it: telemetry, limits, typed errors and safe headers."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rapport_chassis.asgi.errors import HTTP_ERRORS, internal_error
from rapport_chassis.asgi.responses import error_response
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.telemetry.conventions import HTTP_DURATION, HTTP_METHOD, HTTP_ROUTE, HTTP_SERVER, HTTP_STATUS
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.telemetry.setup import Telemetry

MAX_IN_FLIGHT: Final = 200
"""Requests answered at the same time; more are refused, never queued."""
BODY_WITHIN_S: Final = 10.0
"""How long a body may take to arrive."""
REASON: Final = "rapport.reason"
"""Key of the scope under which an error handler leaves the reason it answered with."""

_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_SAFE: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_NO_ROUTE: Final = "unknown"


class Edge:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, *, telemetry: Telemetry, body_limit_bytes: int, secure: bool) -> None:
        """Wrap the application.

        Args:
            app: answers errors itself, see `REASON`; whatever it still raises is INTERNAL.
            telemetry: of the process.
            body_limit_bytes: largest body handed on.
            secure: whether clients reach this listener over TLS, and only so.
        """
        self._app = app
        self._tracer = telemetry.tracer
        self._durations = telemetry.meter.histogram(HTTP_DURATION)
        self._names = {method: HTTP_SERVER.fill(method=method, route=_NO_ROUTE) for method in (*_METHODS, "_OTHER")}
        self._limit = body_limit_bytes
        self._headers = _SAFE | ({"Strict-Transport-Security": "max-age=31536000"} if secure else {})
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = perf_counter()
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        answer = _Answer(send, self._headers)
        self._in_flight += 1
        # A caller from outside decides neither the trace nor its sampling: a traceparent is not read here.
        with self._tracer.span(self._names[method]) as span:
            try:
                await self._answer(scope, receive, answer)
            finally:
                self._in_flight -= 1
                route = _template(scope.get("route"))
                reason = scope.get(REASON, "")
                if span.recording:
                    span.rename(HTTP_SERVER.fill(method=method, route=route))
                    span.set(HTTP_METHOD, method)
                    span.set(HTTP_ROUTE, route)
                    span.set(HTTP_STATUS, answer.status)
                if reason and answer.status >= 500:
                    span.fail(reason)
                self._durations.of(method, route, answer.status, reason).record(perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        try:
            if self._in_flight > MAX_IN_FLIGHT:
                raise CHASSIS_ERRORS.error("OVERLOADED", "Too many requests are in flight.", retry_after_s=1)
            await self._app(scope, _Body(scope, receive, self._limit), answer)
        except asyncio.CancelledError:  # the drain time is over
            scope[REASON] = "UNAVAILABLE"
            if answer.status == 0:
                stopping = CHASSIS_ERRORS.error("UNAVAILABLE", "The service is stopping.", retry_after_s=1)
                await error_response(stopping)(scope, receive, answer)
            raise
        except RapportError as error:
            scope[REASON] = error.reason.name
            await error_response(error)(scope, receive, answer)
        except Exception as error:
            get_logger().error("http_request_failed", exc_info=error)
            scope[REASON] = "INTERNAL"
            if answer.status == 0:
                await error_response(internal_error())(scope, receive, answer)


def _template(route: BaseRoute | None) -> str:
    return route.path_format if isinstance(route, Route) else _NO_ROUTE


class _Body:
    """The receiving side of a request, with its limits."""

    def __init__(self, scope: Scope, receive: Receive, limit: int) -> None:
        declared = Headers(scope=scope).get("content-length", "0")
        self._receive = receive
        self._left = limit
        self._whole = False
        self._refused = not declared.isdecimal() or int(declared) > limit
        self._until = asyncio.get_running_loop().time() + BODY_WITHIN_S

    async def __call__(self) -> Message:
        if self._refused:
            raise HTTP_ERRORS.error("BODY_TOO_LARGE", "The body is too large.")
        if self._whole:
            return await self._receive()  # nothing but the disconnect, for which a handler may wait
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise HTTP_ERRORS.error("BODY_TOO_SLOW", "The body did not arrive in time.") from None
        self._whole = not message.get("more_body", False)
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise HTTP_ERRORS.error("BODY_TOO_LARGE", "The body is too large.")
        return message


class _Answer:
    """The sending side of a request: adds the safe headers that the route has not set, notes the status."""

    def __init__(self, send: Send, headers: dict[str, str]) -> None:
        self._send = send
        self._headers = headers
        self.status = 0
        """Status sent; 0 before the answer has begun."""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in self._headers.items():
                headers.setdefault(name, value)
        await self._send(message)
