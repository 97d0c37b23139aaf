"""One outgoing call: its deadline, its trace, its measurement, and the decoded error if it fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from time import perf_counter
from typing import Any, Final, TypeAlias

import grpc

from rapport_chassis.rpc.channel import LiveChannel, ManagedChannel
from rapport_chassis.rpc.deadlines import outgoing_timeout
from rapport_chassis.rpc.status import RemoteError, decode
from rapport_chassis.telemetry.conventions import RPC_CLIENT, RPC_METHOD, RPC_STATUS
from rapport_chassis.telemetry.propagation import TRACEPARENT, traceparent
from rapport_chassis.telemetry.red import RedMetrics
from rapport_chassis.telemetry.setup import Telemetry
from rapport_chassis.telemetry.tracing import Span

Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]

BY_TABLE: Final = object()
"""Timeout of a call that gives none itself."""


class OutgoingMethod:
    """A method of another service, as it is called from here."""

    def __init__(
        self,
        full_name: str,
        bind: Callable[[grpc.aio.Channel], Any],
        channel: ManagedChannel,
        telemetry: Telemetry,
        limit_s: float | None,
        metadata: Metadata,
    ) -> None:
        """Prepare.

        Args:
            full_name: Service and method.
            bind: Makes gRPC's callable on a channel.
            channel: Knows the channel to use.
            telemetry: Records the calls.
            limit_s: Deadline of a call that gives none; None for no limit.
            metadata: Headers of every call.
        """
        self._full_name = full_name
        self._bind = bind
        self._channel = channel
        self._start_span = telemetry.tracer.span
        self._span_name = RPC_CLIENT.fill(method=full_name)
        self._done = RedMetrics(telemetry.meter).client(full_name).done
        self._limit_s = limit_s
        self._metadata = metadata

    def _begin(self, live: LiveChannel, span: Span, request: Any, timeout_s: float | None, headers: Metadata) -> Any:
        bound = live.callables.get(self._full_name)
        if bound is None:
            bound = live.callables[self._full_name] = self._bind(live.channel)
        trace = ((TRACEPARENT, traceparent(span.context)),)
        return bound(request, timeout=timeout_s, metadata=(*self._metadata, *headers, *trace))

    def _timeout(self, given: Any) -> float | None:
        return outgoing_timeout(self._limit_s if given is BY_TABLE else given)

    def _finish(self, span: Span, started: float, outcome: _Outcome) -> None:
        if span.recording:
            span.set(RPC_METHOD, self._full_name)
            span.set(RPC_STATUS, outcome.status)
        if outcome.status != "OK":
            span.fail(outcome.reason)
        self._done(perf_counter() - started, outcome.status, outcome.reason)


class _Outcome:
    """How a call ended; cancelled until it is known."""

    __slots__ = ("reason", "status")

    def __init__(self) -> None:
        self.status = self.reason = "CANCELLED"

    def ok(self) -> None:
        self.status, self.reason = "OK", ""

    def failed(self, error: grpc.aio.AioRpcError) -> RemoteError:
        remote = decode(error)
        self.status, self.reason = remote.reason.code, remote.reason.name
        return remote


class OneAnswer(OutgoingMethod):
    """A method with one answer."""

    async def __call__(self, request: Any, *, timeout: Any = BY_TABLE, metadata: Metadata = ()) -> Any:
        """Return the answer.

        Raises:
            RemoteError: The other side answered an error, or could not be reached.
            RapportError: DEADLINE_TOO_SHORT, without a call.
        """
        timeout_s = self._timeout(timeout)
        started = perf_counter()
        outcome = _Outcome()
        live = self._channel.current()
        with live.in_use(), self._start_span(self._span_name) as span:
            try:
                answer = await self._begin(live, span, request, timeout_s, metadata)
                outcome.ok()
                return answer
            except grpc.aio.AioRpcError as error:
                raise outcome.failed(error) from None
            finally:
                self._finish(span, started, outcome)


class ManyAnswers(OutgoingMethod):
    """A method with a stream of answers."""

    async def __call__(
        self,
        request: Any,
        *,
        timeout: Any = BY_TABLE,
        metadata: Metadata = (),
    ) -> AsyncIterator[Any]:
        """Yield the answers; close the iterator (`contextlib.aclosing`) where it is left early.

        Raises:
            RemoteError: The other side answered an error, or could not be reached.
            RapportError: DEADLINE_TOO_SHORT, without a call.
        """
        timeout_s = self._timeout(timeout)
        started = perf_counter()
        outcome = _Outcome()
        live = self._channel.current()
        span = self._start_span(self._span_name)  # not made current: the caller's code runs in between
        with live.in_use():
            call = self._begin(live, span, request, timeout_s, metadata)
            try:
                async for answer in call:
                    yield answer
                outcome.ok()
            except grpc.aio.AioRpcError as error:
                raise outcome.failed(error) from None
            finally:
                call.cancel()
                self._finish(span, started, outcome)
                span.end()
