"""Reads the conditions of Splink's levels, which are SQL; what is not made of the closed set is refused."""

import re
from collections.abc import Sequence
from typing import Final

from rapport_identity.domain.conditions import (
    All,
    Any,
    Condition,
    Disjoint,
    Field,
    Missing,
    Near,
    Otherwise,
    Same,
    Shares,
    Within,
)
from rapport_identity.domain.measures import DISTANCES, SIMILARITIES

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)|"(?P<quoted>[^"]+)"|'(?P<text>[^']*)'"""
    r"""|(?P<word>[A-Za-z_][A-Za-z_0-9]*)|(?P<sign><=|>=|=|\(|\)|,|-))"""
)
_ALIASES: Final = {"jaro_winkler": "jaro_winkler_similarity", "jaro_sim": "jaro_similarity"}
_LENGTHS: Final = {"array_length", "len", "length", "array_size", "size", "cardinality"}
_INTERSECTIONS: Final = {"list_intersect", "array_intersect", "list_has_any"}
_PARSERS: Final = {"try_strptime", "strptime"}


class UntranslatableModelError(ValueError):
    """The model says something that cannot be evaluated here in just the same way."""


def parse_condition(sql: str) -> Condition:
    """Return a condition that is written in SQL.

    Raises:
        UntranslatableModelError: It is not made of the known parts.
    """
    if sql.strip().upper() == "ELSE":
        return Otherwise()
    parser = _Parser(_tokens(sql))
    condition = parser.disjunction()
    parser.end()
    return condition


Token = tuple[str, str]


def _tokens(sql: str) -> list[Token]:
    tokens: list[Token] = []
    at, text = 0, sql.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise UntranslatableModelError(f"{text[at:].strip()[:40]!r} is not understood")
        kind = found.lastgroup or ""
        tokens.append((kind, found.group(kind)))
        at = found.end()
    return tokens


class _Parser:
    """Reads one condition from left to right."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens, self._at = tokens, 0

    def disjunction(self) -> Condition:
        parts = [self._conjunction()]
        while self._word("or"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise UntranslatableModelError(f"{self._tokens[self._at][1]!r} is not understood")

    def _conjunction(self) -> Condition:
        parts = [self._condition()]
        while self._word("and"):
            parts.append(self._condition())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _condition(self) -> Condition:
        if self._sign("("):
            condition = self.disjunction()
            self._expect(")")
            return condition
        name = self._peek_word()
        if name == "abs":
            return self._apart()
        if name in _LENGTHS:
            return self._overlap()
        measure = _ALIASES.get(name, name)
        if measure in SIMILARITIES or measure in DISTANCES:
            return self._near(measure)
        field = self._field()
        if self._word("is"):
            self._expect_word("null")
            return Missing(field)
        self._expect("=")
        return Same(*_sides(field, self._field()))

    def _near(self, measure: str) -> Condition:
        self._at += 1
        left, right = self._pair()
        self._expect(">=" if measure in SIMILARITIES else "<=")
        return Near(measure, left, right, self._number())

    def _overlap(self) -> Condition:
        self._at += 1
        self._expect("(")
        if self._peek_word() not in _INTERSECTIONS:
            raise UntranslatableModelError(f"the function {self._peek_word()!r} is not known")
        self._at += 1
        left, right = self._pair()
        self._expect(")")
        if self._sign("="):
            if self._number() != 0:
                raise UntranslatableModelError("only an empty intersection may be asked for exactly")
            return Disjoint(left, right)
        self._expect(">=")
        return Shares(left, right, int(self._number()))

    def _apart(self) -> Condition:
        self._at += 1
        self._expect("(")
        left, pattern = self._moment()
        self._expect("-")
        right, other = self._moment()
        self._expect(")")
        self._expect("<=")
        if pattern != other:
            raise UntranslatableModelError("the two dates are written in different forms")
        return Within(*_sides(left, right), self._number(), pattern)

    def _moment(self) -> tuple[Field, str]:
        self._expect_word("epoch")
        self._expect("(")
        if self._peek_word() not in _PARSERS:
            raise UntranslatableModelError(f"the function {self._peek_word()!r} is not known")
        self._at += 1
        self._expect("(")
        field = self._field()
        self._expect(",")
        pattern = self._take("text")
        self._expect(")")
        self._expect(")")
        return field, pattern

    def _pair(self) -> tuple[Field, Field]:
        self._expect("(")
        left = self._field()
        self._expect(",")
        right = self._field()
        self._expect(")")
        return _sides(left, right)

    def _field(self) -> Field:
        kind, text = self._next()
        if kind == "word" and text.casefold() in ("substr", "substring"):
            self._expect("(")
            inner = self._field()
            self._expect(",")
            start = int(self._number())
            self._expect(",")
            length = int(self._number())
            self._expect(")")
            return Field(inner.column, inner.side, start, length)
        if kind in ("word", "quoted") and text[-2:] in ("_l", "_r"):
            return Field(text[:-2], text[-1])
        if kind == "word" and self._peek_sign("("):
            raise UntranslatableModelError(f"the function {text!r} is not known")
        raise UntranslatableModelError(f"{text!r} is not a column of either side")

    def _number(self) -> float:
        return float(self._take("number"))

    def _take(self, kind: str) -> str:
        found, text = self._next()
        if found != kind:
            raise UntranslatableModelError(f"{text!r} stands where a {kind} should")
        return text

    def _next(self) -> Token:
        if self._at >= len(self._tokens):
            raise UntranslatableModelError("the condition ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _peek_word(self) -> str:
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
        return text.casefold() if kind == "word" else ""

    def _peek_sign(self, sign: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at] == ("sign", sign)

    def _word(self, word: str) -> bool:
        if self._peek_word() != word:
            return False
        self._at += 1
        return True

    def _sign(self, sign: str) -> bool:
        if not self._peek_sign(sign):
            return False
        self._at += 1
        return True

    def _expect(self, sign: str) -> None:
        if not self._sign(sign):
            _, text = self._next()
            raise UntranslatableModelError(f"{text!r} stands where {sign!r} should")

    def _expect_word(self, word: str) -> None:
        if not self._word(word):
            _, text = self._next()
            raise UntranslatableModelError(f"{text!r} stands where {word!r} should")


def _sides(left: Field, right: Field) -> tuple[Field, Field]:
    """Return the two fields, left one first."""
    return (right, left) if (left.side, right.side) == ("r", "l") else (left, right)
