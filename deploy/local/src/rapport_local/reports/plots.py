"""Drawings in SVG: a curve in the unit square, bars, what happened when. Colours and type are the page's."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

from rapport_local.reports.page import Html

_SIDE: Final = 260.0
_LEFT: Final = 34.0
_TOP: Final = 8.0
_BOTTOM: Final = 26.0
_ROW: Final = 18.0
_NAMES: Final = 190.0
_BARS: Final = 330.0


class Point(NamedTuple):
    """A point in the unit square, and how much stands behind it."""

    x: float
    y: float
    weight: float = 1.0


class Bar(NamedTuple):
    """A bar, what it may not pass, and whether it did."""

    name: str
    value: float
    limit: float
    passed: bool


class Lane(NamedTuple):
    """Something that took its time, in milliseconds from the first of its kind.

    Attributes:
        lane: Who did it.
        what: What.
        begin_ms: When it began.
        end_ms: When it ended.
        depth: How many others it is below.
    """

    lane: str
    what: str
    begin_ms: float
    end_ms: float
    depth: int = 0


class Band(NamedTuple):
    """A figure with its interval, after so many observations."""

    at: float
    value: float
    low: float
    high: float


def bands(points: Sequence[Band], *, across: str, title: str) -> Html:
    """Return how a figure and its interval went, with a line at zero.

    Args:
        points: From left to right; at least one.
        across: What goes to the right.
        title: What is drawn, for who cannot see it.
    """
    most = max(each.at for each in points) or 1.0
    top = max(*(each.high for each in points), 0.0)
    bottom = min(*(each.low for each in points), 0.0)
    span = (top - bottom) or 1.0

    def y(value: float) -> float:
        return _y((value - bottom) / span)

    edge = [(_x(each.at / most), y(each.high)) for each in points]
    edge += [(_x(each.at / most), y(each.low)) for each in reversed(points)]
    area = " ".join(f"{left:.1f},{up:.1f}" for left, up in edge)
    line = " ".join(f"{_x(each.at / most):.1f},{y(each.value):.1f}" for each in points)
    labels = "".join(
        f'<text x="{_LEFT - 5}" y="{y(value) + 4:.1f}" text-anchor="end">{value:,.0f}</text>'
        for value in sorted({bottom, 0.0, top})
    )
    width, height = _LEFT + _SIDE + 10, _TOP + _SIDE + _BOTTOM + 14
    return Html(
        f'<svg viewBox="0 0 {width} {height}" role="img"><title>{escape(title)}</title>'
        f'<polygon points="{area}" fill="var(--fill)"/><polyline class="curve" points="{line}"/>'
        f'<line class="ideal" x1="{_x(0)}" x2="{_x(1)}" y1="{y(0.0):.1f}" y2="{y(0.0):.1f}"/>{labels}'
        f'<text x="{_x(1)}" y="{_y(0) + 14}" text-anchor="end">{most:,.0f}</text>'
        f'<text x="{_x(0.5)}" y="{height - 3}" text-anchor="middle">{escape(across)}</text></svg>'
    )


def unit_square(points: Sequence[Point], *, across: str, up: str, title: str, ideal: bool = True) -> Html:
    """Return points joined by a line, in the square from 0 to 1.

    Args:
        points: From left to right.
        across: What goes to the right.
        up: What goes up.
        title: What is drawn, for who cannot see it.
        ideal: Whether to draw the diagonal.
    """
    heaviest = max((each.weight for each in points), default=1.0) or 1.0
    marks = [f"{_axis(at, _x(at), _y(at))}" for at in (0.0, 0.25, 0.5, 0.75, 1.0)]
    drawn = [f'<line class="ideal" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>'] if ideal else []
    if points:
        path = " ".join(f"{_x(each.x):.1f},{_y(each.y):.1f}" for each in points)
        drawn.append(f'<polyline class="curve" points="{path}"/>')
        drawn += [
            f'<circle class="dot" cx="{_x(each.x):.1f}" cy="{_y(each.y):.1f}"'
            f' r="{2 + 2 * (each.weight / heaviest) ** 0.5:.1f}"/>'
            for each in points
        ]
    width, height = _LEFT + _SIDE + 10, _TOP + _SIDE + _BOTTOM + 14
    return Html(
        f'<svg viewBox="0 0 {width} {height}" role="img"><title>{escape(title)}</title>{"".join(marks + drawn)}'
        f'<text x="{_x(0.5)}" y="{height - 3}" text-anchor="middle">{escape(across)}</text>'
        f'<text x="{_x(0.02)}" y="{_TOP + 12}">{escape(up)}</text></svg>'
    )


def bars(rows: Sequence[Bar], *, title: str) -> Html:
    """Return a bar for each row with a mark where its limit is, the longest drawn in full."""
    longest = max((max(each.value, each.limit) for each in rows), default=1.0) or 1.0
    drawn = []
    for at, each in enumerate(rows):
        top = at * _ROW
        length, limit = (_BARS * max(value, 0.0) / longest for value in (each.value, each.limit))
        drawn.append(
            f'<text x="{_NAMES - 6}" y="{top + 13}" text-anchor="end">{escape(each.name)}</text>'
            f'<rect class="bar{"" if each.passed else " off"}" x="{_NAMES}" y="{top + 4}" width="{length:.1f}"'
            f' height="{_ROW - 7}" rx="2"/>'
            f'<line class="limit" x1="{_NAMES + limit:.1f}" x2="{_NAMES + limit:.1f}" y1="{top + 2}"'
            f' y2="{top + _ROW - 1}"/>'
        )
    size = f"0 0 {_NAMES + _BARS + 10} {max(len(rows), 1) * _ROW + 4}"
    return Html(f'<svg viewBox="{size}" role="img"><title>{escape(title)}</title>{"".join(drawn)}</svg>')


def shares(rows: Sequence[tuple[str, float, str]], *, title: str) -> Html:
    """Return a bar for each name, value and label; what is below zero goes to the left."""
    most = max((value for _, value, _ in rows), default=0.0)
    least = min(0.0, min((value for _, value, _ in rows), default=0.0))
    scale = _BARS * 0.75 / ((max(most, 0.0) - least) or 1.0)
    zero = _NAMES - least * scale
    drawn = []
    for at, (name, value, label) in enumerate(rows):
        top, length = at * _ROW, abs(value) * scale
        left = zero - length if value < 0 else zero
        drawn.append(
            f'<text x="{_NAMES - 6}" y="{top + 13}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="bar{" off" if value < 0 else ""}" x="{left:.1f}" y="{top + 4}" width="{max(length, 1):.1f}"'
            f' height="{_ROW - 7}" rx="2"/>'
            f'<text class="label" x="{zero + max(value, 0.0) * scale + 6:.1f}" y="{top + 13}">{escape(label)}</text>'
        )
    size = f"0 0 {_NAMES + _BARS + 60} {max(len(rows), 1) * _ROW + 4}"
    return Html(f'<svg viewBox="{size}" role="img"><title>{escape(title)}</title>{"".join(drawn)}</svg>')


def timeline(lanes: Sequence[Lane], *, title: str) -> Html:
    """Return what happened when, one row each, the names at the left; what was short is drawn as a dot's width."""
    whole = max((each.end_ms for each in lanes), default=0.0) or 1.0
    names, width = 2.2 * _NAMES, 1.3 * _BARS
    order = list(dict.fromkeys(each.lane for each in lanes))
    drawn = []
    for at, each in enumerate(lanes):
        top, begin = at * _ROW, names + each.begin_ms / whole * width
        length = max((each.end_ms - each.begin_ms) / whole * width, 3.0)
        drawn.append(
            f'<text x="4" y="{top + 13}">{escape(each.lane)}</text>'
            f'<text class="label" x="{86 + each.depth * 9}" y="{top + 13}">{escape(each.what)}</text>'
            f'<rect class="bar hue{order.index(each.lane) % 6}" x="{begin:.1f}" y="{top + 4}" width="{length:.1f}"'
            f' height="{_ROW - 7}" rx="2"/>'
            f'<text x="{begin + length + 5:.1f}" y="{top + 13}">{each.begin_ms:,.0f} ms</text>'
        )
    size = f"0 0 {names + width + 70:.0f} {max(len(lanes), 1) * _ROW + 4}"
    return Html(f'<svg class="wide" viewBox="{size}" role="img"><title>{escape(title)}</title>{"".join(drawn)}</svg>')


def _x(value: float) -> float:
    return _LEFT + _SIDE * value


def _y(value: float) -> float:
    return _TOP + _SIDE * (1 - value)


def _axis(value: float, x: float, y: float) -> str:
    return (
        f'<line class="axis" x1="{_x(0)}" x2="{_x(1)}" y1="{y}" y2="{y}"/>'
        f'<line class="axis" x1="{x}" x2="{x}" y1="{_y(0)}" y2="{_y(1)}"/>'
        f'<text x="{_LEFT - 5}" y="{y + 4}" text-anchor="end">{value:g}</text>'
        f'<text x="{x}" y="{_y(0) + 14}" text-anchor="middle">{value:g}</text>'
    )
