"""What every page is made of: a frame with its style, sections, tables, notices. All text that comes in is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final, NewType

Html = NewType("Html", str)
"""Markup that is safe to show as it is."""

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5d6b7c; --line: #d9dfe6; --page: #fbfcfd; --card: #fff;
  --accent: #1d6fb8; --good: #21804a; --bad: #b3372f; --fill: #dce9f5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf1; --soft: #9aa8b8; --line: #33404e; --page: #12181f;
  --card: #1a222b; --accent: #6db3f2; --good: #5cc98a; --bad: #ef8a80; --fill: #22405c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 66rem; padding: 2rem 1.25rem 4rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.15rem; margin: 0 0 .75rem; }
.lead { color: var(--soft); margin: .25rem 0 1.5rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1.1rem 1.25rem;
  margin: 0 0 1.1rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 500; } td, th { padding: .3rem .75rem .3rem 0; }
tr + tr > * { border-top: 1px solid var(--line); } td.number, th.number { text-align: right; }
.notes { margin: 0; padding-left: 1.1rem; } .good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: 1.1rem; }
.pair section { margin: 0; } .pair { margin: 0 0 1.1rem; } figure { margin: 0; } svg { width: 100%; height: auto; }
figcaption { color: var(--soft); font-size: .9rem; margin-top: .4rem; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; } svg .axis { stroke: var(--line); }
svg .ideal { stroke: var(--soft); stroke-dasharray: 4 4; } svg .curve { stroke: var(--accent); fill: none; }
svg .dot, svg .bar { fill: var(--accent); } svg .bar.off { fill: var(--bad); } svg .limit { stroke: var(--ink); }
"""


def text(value: object) -> Html:
    """Return a value as text."""
    return Html(escape(str(value)))


def page(title: str, lead: str, parts: Iterable[Html], *, language: str = "en") -> str:
    """Return a whole page."""
    return (
        f'<!doctype html>\n<html lang="{escape(language)}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<header><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p></header>\n<main>\n'
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def section(heading: str, *content: Html) -> Html:
    """Return a section under a heading."""
    return Html(f"<section><h2>{escape(heading)}</h2>{''.join(content)}</section>")


def side_by_side(*sections: Html) -> Html:
    """Return sections beside one another, where there is room."""
    return Html(f'<div class="pair">{"".join(sections)}</div>')


def table(headings: Sequence[str], rows: Iterable[Sequence[Html]], *, numbers: Iterable[int] = ()) -> Html:
    """Return a table.

    Args:
        headings: What the columns hold.
        rows: The cells.
        numbers: The columns that hold numbers.
    """
    right = frozenset(numbers)

    def row(tag: str, cells: Sequence[Html]) -> str:
        kinds = (' class="number"' if at in right else "" for at in range(len(cells)))
        return f"<tr>{''.join(f'<{tag}{kind}>{cell}</{tag}>' for kind, cell in zip(kinds, cells, strict=True))}</tr>"

    head = row("th", [text(each) for each in headings])
    body = "".join(row("td", each) for each in rows)
    return Html(f"<table><thead>{head}</thead><tbody>{body}</tbody></table>")


def verdict(good: bool, said: str) -> Html:
    """Return what is good or bad, in a colour and in words."""
    return Html(f'<span class="{"good" if good else "bad"}">{escape(said)}</span>')


def notes(lines: Iterable[Html]) -> Html:
    """Return a list of short statements."""
    return Html(f'<ul class="notes">{"".join(f"<li>{line}</li>" for line in lines)}</ul>')


def figure(drawing: Html, caption: str) -> Html:
    """Return a drawing with what it shows."""
    return Html(f"<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>")


def number(value: float, digits: int = 3) -> Html:
    """Return a number with its thousands apart."""
    return text(f"{value:,.{digits}f}")
