"""Letters and certificates on paper: PDF with its fonts inside, the same bytes for the same words.

What no font can set is marked, and the paper says so: a letter as page or text, and the certificate itself, have it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from rapport_consent.adapters.fonts import BOLD, MISSING, REGULAR, marked_up, printable, registered
from rapport_consent.domain.letter_blocks import Role
from rapport_consent.domain.letters import Letter

if TYPE_CHECKING:
    from reportlab.lib.styles import ParagraphStyle

_MARGIN: Final = 62.0
_SIZES: Final = (1.0, 0.9, 0.8, 0.7, 0.6)
_SIZE: Final[dict[str, float]] = {"sender": 8.0, "subject": 12.5, "item": 9.5, "paragraph": 9.5, "signature": 9.5}


def letter_pdf(letter: Letter) -> bytes:
    """Return a letter on paper."""
    blocks = [(block.role, block.text) for block in letter.blocks]
    return _paper(letter.subject, blocks, locale=letter.locale)[0]


def one_page(
    title: str, blocks: Sequence[tuple[Role, str]], *, locale: str, table: Sequence[Sequence[str]] = ()
) -> bytes:
    """Return a document that fits on one page: set smaller until it does.

    Args:
        title: Its title.
        blocks: What it says, with how it is set.
        locale: Its language.
        table: Rows under it, the first of them the heading.
    """
    made = b""
    for size in _SIZES:
        made, pages = _paper(title, blocks, locale=locale, table=table, size=size)
        if pages == 1:
            break
    return made


def _paper(
    title: str, blocks: Iterable[tuple[Role, str]], *, locale: str, table: Sequence[Sequence[str]] = (), size: float = 1
) -> tuple[bytes, int]:
    """Return a document, and how many pages it has."""
    from reportlab.lib.pagesizes import A4
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Table

    blocks = [(role, printable(text)) for role, text in blocks]
    rows = [[printable(cell) for cell in row] for row in table]
    if any(MISSING in text for text in (*(text for _, text in blocks), *(cell for row in rows for cell in row))):
        blocks.append(("paragraph", _missing(locale)))
    styles = {role: _style(role, size) for role in _SIZE}
    story: list[Any] = [
        Paragraph(marked_up(text, _font(role)), styles[role], bulletText="\u2022" if role == "item" else None)
        for role, text in blocks
    ]
    if rows:
        small = _style("cell", size)
        cells = [[Paragraph(marked_up(cell, REGULAR), small) for cell in row] for row in rows]
        story.append(Table(cells, repeatRows=1, style=_TABLE, hAlign="LEFT"))
    target = BytesIO()
    margin = _MARGIN * size
    document = SimpleDocTemplate(
        target,
        pagesize=A4,
        title=title,
        lang=locale,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=margin,
        bottomMargin=margin,
        invariant=1,
    )
    document.build(story)
    return target.getvalue(), document.page


_TABLE: Final = [
    ("GRID", (0, 0), (-1, -1), 0.4, "#767676"),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("BACKGROUND", (0, 0), (-1, 0), "#eeeeee"),
    ("TOPPADDING", (0, 0), (-1, -1), 1),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
]


def _style(role: str, factor: float) -> ParagraphStyle:
    from reportlab.lib.styles import ParagraphStyle

    size = _SIZE.get(role, 7.0) * factor
    return ParagraphStyle(
        role,
        fontName=registered(_font(role)),
        fontSize=size,
        leading=size * 1.4,
        spaceAfter=0 if role == "cell" else size * (0.4 if role == "item" else 0.9),
        leftIndent=12 if role == "item" else 0,
        splitLongWords=1,
    )


def _font(role: str) -> str:
    return BOLD if role == "subject" else REGULAR


@cache
def _missing(locale: str) -> str:
    """Return what a paper says on which a letter is marked."""
    every = json.loads(files("rapport_consent.domain").joinpath("data/paper_texts.json").read_text(encoding="utf-8"))
    words: str = every[locale if locale in every else "en"]["missing"]
    return words
