from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import SpanKind
from rapport_chassis.telemetry.span_record import SpanRecord
from rapport_chassis.telemetry.tree import render_traces, render_tree, tree_rows

MS = 1_000_000
TRACE, OTHER = "a" * 32, "b" * 32


def span(
    service: str,
    name: str,
    span_id: str,
    parent_id: str = "",
    *,
    start: float = 0,
    took: float = 1,
    error: str | None = None,
    links: tuple[tuple[str, str], ...] = (),
    trace_id: str = TRACE,
) -> SpanRecord:
    begin = 1_700_000_000_000 * MS + round(start * MS)
    attributes = {"error.type": error} if error else {}
    kind = SpanKind.INTERNAL
    return SpanRecord(
        service, trace_id, span_id, parent_id, name, kind, begin, begin + round(took * MS), {**attributes}, links
    )


def test_calls_and_events_are_drawn_as_one_aligned_tree() -> None:
    lines = render_tree(
        [
            span("churn", "process consent_withdrawn", "5", links=((TRACE, "3"),), start=9, took=3.25, trace_id=OTHER),
            span("consent", "WithdrawConsent", "2", "1", start=1, took=5),
            span("gateway", "POST /withdraw", "1", took=7),
            span("consent", "publish consent_withdrawn", "3", "2", start=3, took=1.5),
            span("consent", "audit", "4", "2", start=2),
            span("churn", "ScoreProfile", "6", "5", start=10, error="PROFILE_ERASED", trace_id=OTHER),
        ]
    )
    assert lines == [
        f"trace {TRACE}: 6 spans in 3 services, 12.2 ms",
        "offset ms  took ms  service  operation                              error",
        "      0.0      7.0  gateway  POST /withdraw",
        "      1.0      5.0  consent  └─ WithdrawConsent",
        "      2.0      1.0  consent     ├─ audit",
        "      3.0      1.5  consent     └─ publish consent_withdrawn",
        "      9.0      3.2  churn          └─ ~> process consent_withdrawn",
        "     10.0      1.0  churn             └─ ScoreProfile               PROFILE_ERASED",
    ]


def test_a_span_whose_parent_was_not_kept_stands_at_the_left() -> None:
    rows = tree_rows([span("a", "one", "1", "missing"), span("a", "two", "2", links=((OTHER, "missing"),), start=1)])
    assert [(row.span.name, row.branch) for row in rows] == [("one", ""), ("two", "~> ")]


def test_nothing_is_drawn_of_nothing() -> None:
    assert render_tree([]) == []
    assert render_traces([]) == []


def test_recent_traces_are_listed_in_aligned_columns() -> None:
    assert render_traces([span("a", "one", "1"), span("longer", "two", "2", error="NOPE", took=1200)]) == [
        f"2023-11-14 22:13:20  {TRACE}  a       one       1.0 ms",
        f"2023-11-14 22:13:20  {TRACE}  longer  two    1200.0 ms  NOPE",
    ]


ids = st.sampled_from([str(number) for number in range(12)])


@given(st.lists(st.tuples(ids, ids | st.just(""), st.lists(ids, max_size=2)), unique_by=lambda row: row[0]))
def test_every_span_is_drawn_exactly_once_whatever_the_ids_say(rows: list[tuple[str, str, list[str]]]) -> None:
    spans = [span("s", "n", own, parent, links=tuple((TRACE, link) for link in links)) for own, parent, links in rows]
    drawn = [row.span.span_id for row in tree_rows(spans)]
    assert sorted(drawn) == sorted(own for own, _, _ in rows)


def test_a_chain_of_thousands_is_drawn() -> None:
    chain = [span("s", "n", str(number), str(number - 1) if number else "") for number in range(3000)]
    assert len(tree_rows(chain)) == 3000
