"""Letters and certificates on paper: PDF with its fonts inside, the same bytes for the same words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.letter_blocks import Role
from rapport_consent.domain.letters import Letter

if TYPE_CHECKING:
    from reportlab.lib.styles import ParagraphStyle

_FONTS: Final = {"Vera": "Vera.ttf", "VeraBd": "VeraBd.ttf"}
_MARGIN: Final = 62.0
_SIZES: Final = (1.0, 0.9, 0.8, 0.7, 0.6)
_SIZE: Final[dict[str, float]] = {"sender": 8.0, "subject": 12.5, "item": 9.5, "paragraph": 9.5, "signature": 9.5}

# What catalogues use and the fonts lack, in what they have.
_INSTEAD: Final = str.maketrans({"\u202f": " ", "\u2011": "-", "\u2026": "..."})


def letter_pdf(letter: Letter) -> bytes:
    """Return a letter on paper.

    Raises:
        RapportError: LETTER_UNPRINTABLE: it has characters that the fonts do not have.
    """
    blocks = [(block.role, block.text) for block in letter.blocks]
    return _paper(letter.subject.translate(_INSTEAD), blocks, locale=letter.locale)[0]


def one_page(
    title: str, blocks: Sequence[tuple[Role, str]], *, locale: str, table: Sequence[Sequence[str]] = ()
) -> bytes:
    """Return a document that fits on one page: set smaller until it does.

    Args:
        title: Its title.
        blocks: What it says, with how it is set.
        locale: Its language.
        table: Rows under it, the first of them the heading.

    Raises:
        RapportError: LETTER_UNPRINTABLE.
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

    blocks = [(role, text.translate(_INSTEAD)) for role, text in blocks]
    rows = [[cell.translate(_INSTEAD) for cell in row] for row in table]
    _require_printable([title, *(text for _, text in blocks), *(cell for row in rows for cell in row)])
    styles = {role: _style(role, size) for role in _SIZE}
    story: list[Any] = [
        Paragraph(_marked_up(text), styles[role], bulletText="\u2022" if role == "item" else None)
        for role, text in blocks
    ]
    if rows:
        small = _style("cell", size)
        cells = [[Paragraph(_marked_up(cell), small) for cell in row] for row in rows]
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

    _register_fonts()
    size = _SIZE.get(role, 7.0) * factor
    return ParagraphStyle(
        role,
        fontName="VeraBd" if role == "subject" else "Vera",
        fontSize=size,
        leading=size * 1.4,
        spaceAfter=0 if role == "cell" else size * (0.4 if role == "item" else 0.9),
        leftIndent=12 if role == "item" else 0,
        splitLongWords=1,
    )


@cache
def _register_fonts() -> None:
    from reportlab.pdfbase.pdfmetrics import registerFont
    from reportlab.pdfbase.ttfonts import TTFont

    for name, file in _FONTS.items():
        registerFont(TTFont(name, file))


@cache
def _glyphs() -> frozenset[int]:
    from reportlab.pdfbase.ttfonts import TTFontFile

    return frozenset(TTFontFile(_FONTS["Vera"]).charToGlyph)


def _require_printable(texts: Iterable[str]) -> None:
    """Refuse what would come out as empty boxes.

    Raises:
        RapportError: LETTER_UNPRINTABLE, with the characters as metadata.
    """
    known = _glyphs()
    lacking = sorted({letter for text in texts for letter in text if letter != "\n" and ord(letter) not in known})
    if lacking:
        raise ERRORS.error(
            "LETTER_UNPRINTABLE",
            "the letter has characters that cannot be printed",
            field="edits",
            metadata={"characters": " ".join(f"U+{ord(letter):04X}" for letter in lacking[:20])},
        )


def _marked_up(text: str) -> str:
    """Return text as the library reads it: nothing in it is markup but line breaks."""
    return escape(text).replace("\n", "<br/>")
