"""Renders templates: what the child process does. Nothing here reads a file, a clock or the network."""

from __future__ import annotations

import html as html_module
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

import mrml
from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal
from jinja2 import Template as Compiled
from jinja2 import TemplateError

from rapport_notification.domain.contents import HTML_LIMIT
from rapport_notification.templates.sandbox import Sandbox

SUBJECT_LIMIT: Final = 250
PLAIN_LIMIT: Final = 100_000
KEPT: Final = 512

_BREAKS: Final = re.compile(r"\s+")
_FETCHES: Final = re.compile(r"<link\b[^>]*>|@import[^;]*;", re.IGNORECASE)


class RenderRefusedError(Exception):
    """A template could not be rendered: why, as a code; no value is quoted."""


@dataclass(frozen=True, slots=True)
class _Parts:
    subject: Compiled
    text: Compiled
    html: Compiled | None


class Renderer:
    """Keeps compiled templates and renders them."""

    def __init__(self) -> None:
        """Start with none."""
        self._plain = Sandbox(autoescape=False)
        self._html = Sandbox(autoescape=True)
        self._kept: OrderedDict[str, _Parts] = OrderedDict()

    def load(self, key: str, subject: str, text: str, html: str) -> None:
        """Compile a template under a key.

        Raises:
            RenderRefusedError: It does not compile.
        """
        try:
            parts = _Parts(
                self._plain.from_string(subject),
                self._plain.from_string(text),
                self._html.from_string(html) if html else None,
            )
        except (TemplateError, RecursionError) as error:
            raise RenderRefusedError("not a template") from error
        self._kept[key] = parts
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def knows(self, key: str) -> bool:
        """Say whether a key is loaded; it is then among those used last."""
        if key not in self._kept:
            return False
        self._kept.move_to_end(key)
        return True

    def render(self, key: str, locale: str, values: Mapping[str, Any]) -> tuple[str, str, str]:
        """Return subject, plain part and HTML.

        Raises:
            RenderRefusedError: A value is missing, something forbidden was asked for, or it grew too long.
        """
        parts = self._kept[key]
        try:
            written = Writer(locale)
            said = {name: written.value(value) for name, value in values.items()}
            subject = _BREAKS.sub(" ", _bounded(parts.subject, said, SUBJECT_LIMIT)).strip()
            text = _bounded(parts.text, said, PLAIN_LIMIT)
            html = _bounded(parts.html, said, HTML_LIMIT) if parts.html else ""
        except (TemplateError, RecursionError, ArithmeticError, LookupError, OSError, TypeError, ValueError) as error:
            raise RenderRefusedError(type(error).__name__) from error
        return subject, text, html


class Writer:
    """Writes values as a language does."""

    def __init__(self, locale: str) -> None:
        """Take a language.

        Raises:
            ValueError: It is unknown.
        """
        try:
            self._locale = Locale.parse(locale, sep="-")
        except UnknownLocaleError as error:
            raise ValueError("unknown language") from error

    def value(self, value: Any) -> Any:
        """Return a checked value as it is shown."""
        match value:
            case ["money", amount, currency]:
                return format_currency(Decimal(amount), currency, locale=self._locale)
            case ["date", day]:
                return format_date(date.fromisoformat(day), "long", locale=self._locale)
            case ["integer", int() as number]:
                return Number(number, format_decimal(number, locale=self._locale))
            case list():
                return [{name: self.value(held) for name, held in row.items()} for row in value]
        return value


class Number(int):
    """A number that counts and compares as one, and is shown as the language writes it."""

    def __new__(cls, number: int, shown: str) -> Number:
        """Make one."""
        made = super().__new__(cls, number)
        made._shown = shown
        return made

    _shown: str

    def __str__(self) -> str:
        return self._shown


def mjml_to_html(source: str) -> str:
    """Return MJML as HTML, in which nothing is fetched: no fonts, no included files.

    Raises:
        RenderRefusedError: It is not MJML, or includes something.
    """
    try:
        options = mrml.RenderOptions(fonts={})
        found = mrml.to_html(source, mrml.ParserOptions(include_loader=mrml.noop_loader()), options)
    except OSError as error:
        raise RenderRefusedError("not MJML") from error
    return _FETCHES.sub("", found.content)


def escaped(text: str) -> str:
    """Return text as HTML."""
    return html_module.escape(text)


def _bounded(template: Compiled, values: Mapping[str, Any], limit: int) -> str:
    """Render piece by piece, and stop when it is too long."""
    pieces, size = [], 0
    for piece in template.generate(**values):
        size += len(piece)
        if size > limit:
            raise RenderRefusedError("too long")
        pieces.append(piece)
    return "".join(pieces)
