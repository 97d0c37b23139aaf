"""The fonts of papers, and which letters they can set.

Noto Sans has Latin, Greek and Cyrillic; FiraGO adds Georgian. Both are under the SIL Open Font License 1.1 and come
with the package pymupdf-fonts. Scripts that are written from right to left, or whose letters change with their
neighbours, are not set: without bidirectional layout and shaping they would come out as other words.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from html import escape
from itertools import groupby
from typing import Any, Final

MISSING: Final = "\ufffd"
"""What is printed in place of a letter that cannot be: the replacement character, a question mark in a diamond."""

REGULAR: Final = "Paper"
BOLD: Final = "Paper-Bold"

# Each with what takes the letters that it lacks.
_FALLBACK: Final = {REGULAR: "PaperMore", BOLD: "PaperMore-Bold"}
_FILES: Final = {
    REGULAR: "NotoSans_Regular",
    BOLD: "NotoSans_Bold",
    "PaperMore": "FiraGO_Regular",
    "PaperMore-Bold": "FiraGO_Bold",
}
_FROM_RIGHT: Final = frozenset({"R", "AL", "AN"})
_UNSHAPED: Final = ("DEVANAGARI", "THAI")
"""Scripts that FiraGO has and that need shaping, as the names of their letters begin."""


def printable(text: str) -> str:
    """Return text as it can be set: letters composed, what is invisible left out, what no font has marked `MISSING`."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(
        letter if letter == "\n" or _font(letter, REGULAR) else MISSING
        for letter in composed
        if unicodedata.category(letter) != "Cf"
    )


def marked_up(text: str, font: str) -> str:
    """Return printable text as the library reads it: nothing in it is markup but line breaks and changes of font.

    Args:
        text: The text, of `printable`.
        font: `REGULAR` or `BOLD`.
    """
    parts = []
    for name, letters in groupby(text, key=lambda letter: font if letter == "\n" else _font(letter, font) or font):
        run = escape("".join(letters)).replace("\n", "<br/>")
        parts.append(run if name == font else f'<font name="{name}">{run}</font>')
    return "".join(parts)


def registered(font: str) -> str:
    """Return the name of a font, which the library knows from now on."""
    _glyphs(font)
    return font


def _font(letter: str, font: str) -> str:
    """Return the font that sets a letter; empty if none does."""
    if ord(letter) in _glyphs(font):
        return font
    if unicodedata.bidirectional(letter) in _FROM_RIGHT or unicodedata.name(letter, "").startswith(_UNSHAPED):
        return ""
    return _FALLBACK[font] if ord(letter) in _glyphs(_FALLBACK[font]) else ""


@cache
def _glyphs(font: str) -> Any:
    """Return the letters that a font has, as numbers; it is read when it is first needed."""
    from importlib import import_module
    from io import BytesIO

    from reportlab.pdfbase.pdfmetrics import registerFont
    from reportlab.pdfbase.ttfonts import TTFont

    read = TTFont(font, BytesIO(import_module(f"pymupdf_fonts.{_FILES[font]}").fontbuffer))
    registerFont(read)
    return read.face.charToGlyph
