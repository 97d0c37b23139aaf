"""Looks at a template before it is ever rendered: its variables, and where in the HTML they stand.

Escaping keeps a value from ending the text or the attribute it stands in. It does not make a value safe as a script, a
style or the scheme of a link, so no variable may stand there: a link is a whole URL variable, or begins with its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Final

from jinja2 import TemplateSyntaxError, meta, nodes

from rapport_notification.domain.contents import Kind, Variable
from rapport_notification.templates.sandbox import Sandbox

SOURCE_LIMIT: Final = 200_000

_LINKS: Final = frozenset(
    {"href", "src", "action", "background", "formaction", "poster", "cite", "xlink:href", "srcset"}
)
_FORBIDDEN: Final = frozenset({"script", "iframe", "object", "embed", "form", "input", "base", "link", "svg", "applet"})
_MARK: Final = re.compile(r"\{\{|\{%|\{#")
_URL_VARIABLE: Final = re.compile(r"\{\{-?\s*([a-z][a-z0-9_.]*)\s*-?\}\}\Z")
_OWN_BEGINNING: Final = re.compile(r"https://[A-Za-z0-9.-]+/|mailto:[A-Za-z0-9.@-]+\?|#")
_ENCODED: Final = re.compile(r"\{\{-?\s*[a-z][a-z0-9_.]*\s*\|\s*urlencode\s*-?\}\}")
_PLAIN_LINK: Final = re.compile(r"(https://|mailto:|tel:|cid:|#|\Z)", re.IGNORECASE)
_QUOTED: Final = re.compile(r'"[^"]*"|\'[^\']*\'')
_OPEN: Final = re.compile(r"<[/!?]?\s*\{[{%#]")
_OTHERS: Final = (nodes.Import, nodes.FromImport, nodes.Include, nodes.Extends)
_UNESCAPED: Final = (nodes.EvalContextModifier, nodes.ScopedEvalContextModifier)


class TemplateRefusedError(ValueError):
    """A template is not taken. The text says why, in words for its author."""


def check_source(source: str, variables: Mapping[str, Variable]) -> None:
    """Refuse source that does not compile, uses what is not declared, or asks for other templates.

    Raises:
        TemplateRefusedError: It does.
    """
    if len(source) > SOURCE_LIMIT:
        raise TemplateRefusedError("the template is too long")
    environment = Sandbox(autoescape=True)
    try:
        tree = environment.parse(source)
        environment.compile(source)
    except TemplateSyntaxError as error:
        raise TemplateRefusedError(f"line {error.lineno}: it cannot be read as a template") from error
    except RecursionError as error:
        raise TemplateRefusedError("it is nested too deep") from error
    if any(next(tree.find_all(kind), None) for kind in _OTHERS):
        raise TemplateRefusedError("a template stands alone: no import, include or extends")
    if any(next(tree.find_all(kind), None) for kind in _UNESCAPED):
        raise TemplateRefusedError("escaping is not a template's to turn off")
    if unknown := meta.find_undeclared_variables(tree) - set(variables):
        raise TemplateRefusedError(f"not declared: {', '.join(sorted(unknown))}")


def check_html(html: str, variables: Mapping[str, Variable]) -> None:
    """Refuse HTML in which a variable stands where escaping does not help, or that does more than show.

    Raises:
        TemplateRefusedError: It does.
    """
    urls = {name for name, variable in variables.items() if variable.kind is Kind.URL}
    columns = {
        column for variable in variables.values() for column, held in variable.columns.items() if held.kind is Kind.URL
    }
    if _OPEN.search(html):
        raise TemplateRefusedError("no variable may name a tag")
    reader = _Reader(urls, columns)
    reader.feed(html)
    reader.close()


class _Reader(HTMLParser):
    def __init__(self, urls: set[str], columns: set[str]) -> None:
        super().__init__(convert_charrefs=True)
        self._urls = urls
        self._columns = columns
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _FORBIDDEN or _MARK.search(tag):
            raise TemplateRefusedError(f"not in a mail: <{tag[:20]}>")
        if _MARK.search(_QUOTED.sub("", self.get_starttag_text() or "")):
            raise TemplateRefusedError(f"within <{tag}> a variable stands in quotes only")
        self._in_style = tag == "style"
        for name, value in attrs:
            self._attribute(tag, name, value or "")

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style and _MARK.search(data):
            raise TemplateRefusedError("no variable may stand in a style")
        if self._in_style and ("@import" in data or "url(" in data):
            raise TemplateRefusedError("a style fetches nothing")

    def handle_comment(self, data: str) -> None:
        if _MARK.search(data):
            raise TemplateRefusedError("no variable may stand in a comment")

    def _attribute(self, tag: str, name: str, value: str) -> None:
        if name.startswith("on") or _MARK.search(name):
            raise TemplateRefusedError(f"not in a mail: {name[:20]} of <{tag}>")
        if name in _LINKS:
            self._link(value.strip())
        elif _MARK.search(value) and name in {"style", "http-equiv", "content"}:
            raise TemplateRefusedError(f"no variable may stand in {name}")

    def _link(self, value: str) -> None:
        if found := _URL_VARIABLE.match(value):
            first, _, column = found[1].partition(".")
            if first in self._urls or column in self._columns:
                return
            raise TemplateRefusedError(f"a link needs a variable of kind url: {found[1]}")
        if _MARK.search(value):
            if not _OWN_BEGINNING.match(value) or _MARK.search(_ENCODED.sub("", value)):
                raise TemplateRefusedError("a link is a url variable, or begins with its own host and encodes the rest")
        elif not _PLAIN_LINK.match(value):
            raise TemplateRefusedError("a link is https, mailto, tel or cid")
