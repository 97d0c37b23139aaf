from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, get_current_span, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from rapport_chassis.telemetry.propagation import TRACESTATE_LIMIT, extract, inject, traceparent

HEX = "0123456789abcdef"
contexts = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.just(True),
    st.integers(0, 255).map(TraceFlags),
)


def hexadecimal(length: int) -> st.SearchStrategy[str]:
    return st.text(HEX, min_size=length, max_size=length) | st.just("0" * length)


near_headers = st.tuples(
    hexadecimal(2) | st.just("ff") | st.just("00"),
    hexadecimal(32) | hexadecimal(31) | st.just("A" * 32),
    hexadecimal(16),
    hexadecimal(2) | st.just("_1"),
    st.sampled_from(["", "-", "-more", "x"]),
).map(lambda parts: "-".join(parts[:4]) + parts[4])


@given(contexts)
def test_what_is_injected_is_extracted(context: SpanContext) -> None:
    with use_span(NonRecordingSpan(context)):
        assert extract(inject()) == context


@given(near_headers | st.text(st.characters(exclude_characters=" \t\n", exclude_categories=["Cs"])))
def test_headers_are_read_as_the_standard_propagator_reads_them(header: str) -> None:
    standard = TraceContextTextMapPropagator().extract({"traceparent": header})
    context = get_current_span(standard).get_span_context()
    assert extract({"traceparent": header}) == (context if context.is_valid else None)


def test_the_state_of_other_vendors_is_handed_on_if_it_is_short() -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for state, kept in (("a=1,b=2", {"tracestate": "a=1,b=2"}), ("a=" + "x" * TRACESTATE_LIMIT, {})):
        context = extract({"traceparent": parent, "tracestate": state, "baggage": "person=zoe"})
        assert context is not None
        with use_span(NonRecordingSpan(context)):
            assert inject() == {"traceparent": parent} | kept


def test_a_missing_or_binary_header_is_no_context() -> None:
    assert extract({}) is None
    assert extract({"traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}) is None


@given(contexts)
def test_a_context_can_be_written_down_and_read(context: SpanContext) -> None:
    assert extract({"traceparent": traceparent(context)}) == context
