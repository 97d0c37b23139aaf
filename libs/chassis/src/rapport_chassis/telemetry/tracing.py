"""Spans by declared name. Recorded spans are the SDK's; unsampled ones carry the ids and cost almost nothing.

The SDK spends 10 us on a span nobody records. Here the sampling decision comes first, so an unsampled span is only
an id in the context: calls, events and logs still name the trace.
"""

from collections.abc import Mapping, Sequence
from contextvars import Token
from types import TracebackType

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags

from rapport_chassis.errors import RapportError
from rapport_chassis.telemetry.conventions import ERROR_TYPE
from rapport_chassis.telemetry.names import Attribute, AttributeValue, SpanName

_UNSAMPLED = tuple(TraceFlags(flags & ~TraceFlags.SAMPLED) for flags in range(256))
_UNSAMPLED_ROOT = TraceFlags(TraceFlags.RANDOM_TRACE_ID)
_ERROR = Status(StatusCode.ERROR)
_ids = RandomIdGenerator()


def error_type(error: BaseException) -> str:
    """What telemetry may say about an exception: its reason, else its class; never its text."""
    return error.reason.name if isinstance(error, RapportError) else type(error).__qualname__


def current_context() -> SpanContext | None:
    """The span context of the running operation, or None outside any span."""
    context = trace.get_current_span().get_span_context()
    return context if context.is_valid else None


class Span:
    """One operation. `with` makes it current and ends it; an exception passing through marks it failed.

    Without `with` it is never current, and `end` must be called: the form for work that yields in between
    (streams, generators), where a span held across a yield would be detached in another context.
    """

    __slots__ = ("_failed", "_span", "_token")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._token: Token[Context] | None = None
        self._failed = False

    @property
    def context(self) -> SpanContext:
        """Trace id, span id and flags."""
        return self._span.get_span_context()

    @property
    def recording(self) -> bool:
        """Whether anything told to this span is kept. Ask before computing an expensive attribute."""
        return self._span.is_recording()

    def set(self, attribute: Attribute, value: AttributeValue) -> None:
        """Attach a declared attribute."""
        self._span.set_attribute(attribute, value)

    def rename(self, name: SpanName) -> None:
        """Take another declared name: the member of a family, known only once the work has begun."""
        self._span.update_name(name.name)

    def link(self, context: SpanContext) -> None:
        """Name another span this work stems from."""
        self._span.add_link(context)

    def fail(self, reason: str) -> None:
        """Mark the operation failed with a stable reason code; the first reason stays."""
        if not self._failed:
            self._failed = True
            self._span.set_attribute(ERROR_TYPE, reason)
            self._span.set_status(_ERROR)

    def end(self) -> None:
        """Finish the operation now."""
        self._span.end()

    def __enter__(self) -> "Span":
        self._token = attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            detach(self._token)
        if error is not None:
            self.fail(error_type(error))
        self._span.end()


class Tracer:
    """Starts spans. Sampling follows the parent, else the links (any sampled one), else the ratio."""

    __slots__ = ("_bound", "_tracer")

    def __init__(self, tracer: trace.Tracer | None, sampling: float) -> None:
        """Build a tracer.

        Args:
            tracer: the SDK's tracer for recorded spans; None records nothing.
            sampling: share of new traces to record, 0 to 1.
        """
        self._tracer = tracer
        self._bound = round(sampling * 2**64)

    def span(
        self,
        name: SpanName,
        *,
        parent: SpanContext | None = None,
        links: Sequence[SpanContext] = (),
        attributes: Mapping[Attribute, AttributeValue] | None = None,
    ) -> Span:
        """Start an operation now; use it with `with`.

        Args:
            name: the declared span.
            parent: the caller's span, usually from `extract`; None takes the current span, if there is one.
            links: spans this work stems from without being part of them, such as the producers of messages.
            attributes: declared attributes known at the start.
        """
        context = parent or trace.get_current_span().get_span_context()
        if context.is_valid:
            sampled = bool(context.trace_flags & TraceFlags.SAMPLED)
        elif links:
            sampled = any(link.trace_flags & TraceFlags.SAMPLED for link in links)
        else:
            sampled = _ids.generate_span_id() < self._bound
        if not sampled or self._tracer is None:
            return Span(NonRecordingSpan(_unsampled(context)))
        return Span(
            self._tracer.start_span(
                name.name,
                context=trace.set_span_in_context(NonRecordingSpan(context)),
                kind=name.kind,
                attributes=dict(attributes.items()) if attributes else None,
                links=[Link(link) for link in links],
            )
        )


def _unsampled(parent: SpanContext) -> SpanContext:
    if parent.is_valid:
        return SpanContext(
            parent.trace_id, _ids.generate_span_id(), False, _UNSAMPLED[parent.trace_flags], parent.trace_state
        )
    return SpanContext(_ids.generate_trace_id(), _ids.generate_span_id(), False, _UNSAMPLED_ROOT)
