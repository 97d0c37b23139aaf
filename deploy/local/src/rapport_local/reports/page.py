"""What every page is made of: a frame with its style, sections, tables, notices. All text that comes in is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Final, NewType

Html = NewType("Html", str)
"""Markup that is safe to show as it is."""

_STYLE: Final = Path(__file__).with_name("page.css")


def text(value: object) -> Html:
    """Return a value as text."""
    return Html(escape(str(value)))


def page(title: str, lead: str, parts: Iterable[Html], *, language: str = "en") -> str:
    """Return a whole page."""
    return (
        f'<!doctype html>\n<html lang="{escape(language)}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{_STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#main">Skip to the content</a>\n'
        f'<header><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p></header>\n<main id="main">\n'
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
        scope = ' scope="col"' if tag == "th" else ""
        kinds = (f'{scope} class="number"' if at in right else scope for at in range(len(cells)))
        return f"<tr>{''.join(f'<{tag}{kind}>{cell}</{tag}>' for kind, cell in zip(kinds, cells, strict=True))}</tr>"

    head = row("th", [text(each) for each in headings])
    body = "".join(row("td", each) for each in rows)
    return Html(f"<table><thead>{head}</thead><tbody>{body}</tbody></table>")


def pairs(rows: Iterable[Sequence[Html]]) -> Html:
    """Return a table whose first column names its rows."""
    shown = (
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{each}</td>" for each in rest)}</tr>' for name, *rest in rows
    )
    return Html(f"<table><tbody>{''.join(shown)}</tbody></table>")


def part(anchor: str, heading: str, *content: Html) -> Html:
    """Return a section that can be pointed at."""
    name = escape(anchor, quote=True)
    return Html(
        f'<section id="{name}" aria-labelledby="{name}-h"><h2 id="{name}-h">{escape(heading)}</h2>'
        f"{''.join(content)}</section>"
    )


def contents(parts: Iterable[tuple[str, str]]) -> Html:
    """Return a table of contents of anchors and headings."""
    lines = "".join(f'<li><a href="#{escape(anchor, quote=True)}">{escape(said)}</a></li>' for anchor, said in parts)
    return Html(f'<nav aria-label="Contents"><section><h2>Contents</h2><ol>{lines}</ol></section></nav>')


def tiles(figures: Iterable[tuple[str, str, str]]) -> Html:
    """Return figures side by side: what is counted, how much, and what that rests on."""
    shown = (
        f"<li><span>{escape(name)}</span><strong>{escape(value)}</strong><span>{escape(note)}</span></li>"
        for name, value, note in figures
    )
    return Html(f'<ul class="tiles">{"".join(shown)}</ul>')


def folded(heading: str, aside: str, *content: Html, unfolded: bool = True) -> Html:
    """Return what can be folded away under its heading."""
    said = f'{escape(heading)} <span class="soft">{escape(aside)}</span>'
    return Html(f"<details{' open' if unfolded else ''}><summary>{said}</summary>{''.join(content)}</details>")


def paragraph(said: str) -> Html:
    """Return a paragraph."""
    return Html(f"<p>{escape(said)}</p>")


def lines(said: Iterable[str], title: str) -> Html:
    """Return lines whose places mean something, under what they are."""
    return Html(f"<figure><figcaption>{escape(title)}</figcaption><pre>{escape(chr(10).join(said))}</pre></figure>")


def checks(said: Iterable[tuple[bool, str]]) -> Html:
    """Return what had to hold, with a mark for whether it did."""
    shown = (f"<li>{verdict(holds, ('✓ ' if holds else '✗ ') + what)}</li>" for holds, what in said)
    return Html(f'<ul class="checks">{"".join(shown)}</ul>')


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
