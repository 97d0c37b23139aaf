"""What a template is: its texts in each language, and the variables that they may use.

A message is written in one language. The language asked for is looked up as RFC 4647 says (pt-BR, then pt, then the
template's own); a language counts only where every part of the template exists in it, so two are never mixed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

TEXT_LIMIT: Final = 500
ROWS_LIMIT: Final = 50
HTML_LIMIT: Final = 102_000
"""Mail programs cut a mail off near 102 kB."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
_URL: Final = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:[/?#][!#$%&()*+,./0-9:;=?@A-Z\[\]_a-z~-]*)?\Z")
_CURRENCY: Final = re.compile(r"[A-Z]{3}\Z")
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Kind(Enum):
    """What a variable holds, which decides how it is written and where it may stand."""

    TEXT = "text"
    INTEGER = "integer"
    MONEY = "money"
    DATE = "date"
    URL = "url"
    FLAG = "flag"
    ROWS = "rows"


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable.

    Attributes:
        kind: What it holds.
        columns: Of ROWS: what each row holds, itself no ROWS.
    """

    kind: Kind
    columns: Mapping[str, Variable] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Texts:
    """A template in one language: Jinja2 source.

    Attributes:
        subject: One line; empty on a channel without one.
        text: The plain part, which every channel has.
        mjml: The other part of a mail, in MJML; empty for none.
    """

    subject: str
    text: str
    mjml: str = ""


@dataclass(frozen=True, slots=True)
class Template:
    """A version of a template for one brand.

    Attributes:
        template_id: Its name.
        version: Its version.
        brand_id: The brand that speaks; "" for none in particular.
        locale: Its own language, taken where the one asked for is not there.
        variables: By name.
        texts: By language.
    """

    template_id: str
    version: int
    brand_id: str
    locale: str
    variables: Mapping[str, Variable]
    texts: Mapping[str, Texts]

    def __post_init__(self) -> None:
        names = [*self.variables, *(each for one in self.variables.values() for each in one.columns)]
        if not all(_NAME.match(name) for name in names):
            raise ValueError("a variable's name is of small letters, digits and _")
        if any(each.columns and each.kind is not Kind.ROWS for each in self.variables.values()):
            raise ValueError("only rows have columns")
        if any(each.kind is Kind.ROWS for one in self.variables.values() for each in one.columns.values()):
            raise ValueError("rows hold no rows")
        if self.locale not in self.texts:
            raise ValueError("a template is written in its own language")
        parts = {(bool(each.subject), bool(each.mjml)) for each in self.texts.values()}
        if len(parts) != 1 or not all(each.text for each in self.texts.values()):
            raise ValueError("every language has the same parts, and a plain one")

    def locale_for(self, wanted: str) -> str:
        """Return the language a message is written in."""
        return look_up(wanted, list(self.texts)) or self.locale


def look_up(wanted: str, offered: Sequence[str]) -> str | None:
    """Return the offered language for a wanted one (RFC 4647, 3.4), or None."""
    by_name = {each.lower(): each for each in offered}
    parts = wanted.lower().split("-")
    while parts and parts[0]:
        if (found := by_name.get("-".join(parts))) is not None:
            return found
        parts.pop()
        if parts and len(parts[-1]) == 1:
            parts.pop()
    return None


class ValuesRefusedError(ValueError):
    """Values do not fit the variables. The text names the variable, never the value."""


def checked(variables: Mapping[str, Variable], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as they go to the renderer: each declared one, of its kind, and no other.

    Money is a pair of an amount (Decimal) and a currency.

    Raises:
        ValuesRefusedError: One is missing, too much, of another kind, too long, or not what it should be.
    """
    if odd := set(values) ^ set(variables):
        raise ValuesRefusedError(f"missing or not declared: {', '.join(sorted(odd))}")
    return {name: _checked(name, variable, values[name]) for name, variable in variables.items()}


def _checked(name: str, variable: Variable, value: Any) -> Any:
    match variable.kind, value:
        case Kind.FLAG, bool():
            return value
        case Kind.INTEGER, int() if not isinstance(value, bool) and abs(value) < 10**15:
            return ["integer", value]
        case Kind.TEXT, str() if len(value) <= TEXT_LIMIT and not _CONTROLS.search(value):
            return value
        case Kind.URL, str() if len(value) <= 2000 and _URL.match(value):
            return value
        case Kind.DATE, date():
            return ["date", value.isoformat()[:10]]
        case Kind.MONEY, [Decimal() as amount, str() as currency]:
            if amount.is_finite() and abs(amount) < 10**12 and _CURRENCY.match(currency):
                return ["money", str(amount), currency]
        case Kind.ROWS, list() if len(value) <= ROWS_LIMIT and all(isinstance(row, dict) for row in value):
            return [checked(variable.columns, row) for row in value]
    raise ValuesRefusedError(f"not as declared: {name}")
