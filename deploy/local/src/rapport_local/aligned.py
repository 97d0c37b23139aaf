"""Rows of text in columns, for output that is read, copied and piped: nothing is ever cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click


def columns(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the headings, dimmed, and each row, with columns as wide as their longest value."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for index, row in enumerate((headings, *rows)):
        line = "  ".join(f"{value:<{width}}" for value, width in zip(row, widths, strict=True)).rstrip()
        yield click.style(line, dim=True) if index == 0 else line
