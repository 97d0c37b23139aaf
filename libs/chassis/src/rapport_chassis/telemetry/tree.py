"""Drawing traces for a person: which service did what, under what, when, for how long, and why it failed."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rapport_chassis.telemetry.span_record import SpanRecord

_LINK = "~> "
_MORE, _LAST = "├─ ", "└─ "
_BELOW = {"": "", _MORE: "│  ", _LAST: "   "}


@dataclass(frozen=True, slots=True)
class TreeRow:
    """One span at its place in the tree."""

    span: SpanRecord
    branch: str
    """Lines and corners that lead to it."""
    offset_ms: float
    """Start, counted from the start of the earliest span."""


def tree_rows(spans: Sequence[SpanRecord]) -> list[TreeRow]:
    """The spans in drawing order.

    A span stands under its parent; one that has none stands under the span it links to (a consumer under the producer
    of its event), marked `~>`; what leads nowhere, because its parent was not sampled or not kept, stands at the left.
    """
    start = min((span.start_ns for span in spans), default=0)
    known = {span.span_id for span in spans}
    children: dict[str, list[SpanRecord]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: (span.start_ns, -span.end_ns)):
        children[_place(span, known)].append(span)
    return [TreeRow(span, branch, (span.start_ns - start) / 1e6) for span, branch in _walk(children, known)]


def render_tree(spans: Sequence[SpanRecord]) -> list[str]:
    """The tree as lines of aligned text, below a heading; empty for no spans."""
    rows = tree_rows(spans)
    if not rows:
        return []
    total = max(row.offset_ms + row.span.duration_ms for row in rows)
    services = {row.span.service for row in rows}
    counts = f"{_counted(len(rows), 'span')} in {_counted(len(services), 'service')}"
    heading = f"trace {rows[0].span.trace_id}: {counts}, {total:.1f} ms"
    cells = [("offset ms", "took ms", "service", "operation")] + [
        (f"{row.offset_ms:.1f}", f"{row.span.duration_ms:.1f}", row.span.service, row.branch + row.span.name)
        for row in rows
    ]
    errors = ["error", *(row.span.error or "" for row in rows)]
    if not any(errors[1:]):
        errors[0] = ""
    offset, took, service, operation = (max(len(row[column]) for row in cells) for column in range(4))
    return [
        heading,
        *(
            f"{row[0]:>{offset}}  {row[1]:>{took}}  {row[2]:<{service}}  {row[3]:<{operation}}  {error}".rstrip()
            for row, error in zip(cells, errors, strict=True)
        ),
    ]


def render_traces(roots: Sequence[SpanRecord]) -> list[str]:
    """One line per trace: when it began, its id, who answered what, how long it took, why it failed."""
    service = max((len(root.service) for root in roots), default=0)
    name = max((len(root.name) for root in roots), default=0)
    return [
        f"{datetime.fromtimestamp(root.start_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S}  {root.trace_id}  "
        f"{root.service:<{service}}  {root.name:<{name}}  {root.duration_ms:>8.1f} ms  {root.error or ''}".rstrip()
        for root in roots
    ]


def _place(span: SpanRecord, known: set[str]) -> str:
    """Id of the span to draw this one under; empty at the left."""
    if span.parent_id in known:
        return span.parent_id
    return next((producer for _, producer in span.links if producer in known and producer != span.span_id), "")


def _walk(children: dict[str, list[SpanRecord]], known: set[str]) -> Iterator[tuple[SpanRecord, str]]:
    """Depth first, without recursion, as a chain of events may be long; circles of broken ids are cut."""
    drawn: set[str] = set()
    everything = [span for siblings in children.values() for span in siblings]
    for top in (*children[""], *everything):
        waiting = [(top, "", "")]
        while waiting:
            span, lead, corner = waiting.pop()
            if span.span_id in drawn:
                continue
            drawn.add(span.span_id)
            linked = span.links and span.parent_id not in known
            yield span, lead + corner + (_LINK if linked else "")
            below = children.get(span.span_id, [])
            inner = lead + _BELOW[corner]
            corners = [_MORE] * (len(below) - 1) + [_LAST]
            waiting.extend(
                [(child, inner, its_corner) for child, its_corner in zip(below, corners, strict=False)][::-1]
            )


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
