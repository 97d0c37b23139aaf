"""The traits that the default matcher compares, and the levels of each; their weights come from training."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from rapport_identity.domain.comparisons import Comparison, Level, unknown
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
)


def missing(column: str) -> Condition:
    """Return: either record lacks the column."""
    return Any((Missing(Field(column, "l")), Missing(Field(column, "r"))))


def same(column: str, other: str | None = None) -> Same:
    """Return: the column of one record equals the column of the other."""
    return Same(Field(column, "l"), Field(other or column, "r"))


def crossed(one: str, other: str) -> Condition:
    """Return: a column of either record equals another column of the other."""
    return Any((same(one, other), same(other, one)))


def shares(column: str, other: str | None = None) -> Shares:
    """Return: the lists have a value in common."""
    return Shares(Field(column, "l"), Field(other or column, "r"))


def crossed_lists(one: str, other: str) -> Condition:
    """Return: a list of either record has a value in common with another list of the other."""
    return Any((shares(one, other), shares(other, one)))


def near(measure: str, column: str, limit: float) -> Near:
    """Return: the texts are alike enough."""
    return Near(measure, Field(column, "l"), Field(column, "r"), limit)


def _alike(column: str, similarity: float, distance: int) -> Condition:
    return Any((near("jaro_winkler_similarity", column, similarity), near("damerau_levenshtein", column, distance)))


OTHER: Final = Level("differs", Otherwise(), m=0.05, u=0.9)

IN_OTHER_LETTERS: Final = Level("in other letters", Disjoint(Field("name_scripts", "l"), Field("name_scripts", "r")))
"""Names in two scripts share no sign, whosever they are: that they differ says nothing."""

TRAITS: Final = (
    Comparison("given_name", (
        unknown("given"),
        Level("same", same("given"), m=0.7, u=0.01, term="given"),
        Level("short form", shares("given_roots"), m=0.06, u=0.01),
        Level("alike", _alike("given", 0.9, 1), m=0.08, u=0.01),
        Level("initial", crossed("given_letter", "given_initial"), m=0.02, u=0.01),
        Level("is the other's middle name", crossed_lists("given_roots", "middle_roots"), m=0.02, u=0.005),
        Level("is the other's surname", crossed("given", "surname"), m=0.02, u=0.001),
        Level("somewhat alike", near("jaro_winkler_similarity", "given", 0.78), m=0.02, u=0.03),
        IN_OTHER_LETTERS,
        OTHER,
    )),
    Comparison("middle_name", (
        unknown("middle"),
        Level("same", same("middle"), m=0.6, u=0.02, term="middle"),
        Level("short form or part", shares("middle_roots"), m=0.1, u=0.02),
        Level("same initial", same("middle_initial"), m=0.2, u=0.08, term="middle_initial"),
        IN_OTHER_LETTERS,
        OTHER,
    )),
    Comparison("surname", (
        unknown("surname"),
        Level("same", same("surname"), m=0.8, u=0.005, term="surname"),
        Level("alike", _alike("surname", 0.9, 1), m=0.08, u=0.005),
        Level("part", shares("surname_parts"), m=0.02, u=0.001),
        Level("is the other's given name", crossed("given", "surname"), m=0.01, u=0.001),
        Level("somewhat alike", near("jaro_winkler_similarity", "surname", 0.78), m=0.02, u=0.03),
        IN_OTHER_LETTERS,
        OTHER,
    )),
    Comparison("generation", (
        unknown("suffix"),
        Level("same", same("suffix"), m=0.95, u=0.6),
        Level("differs", Otherwise(), m=0.001, u=0.4, veto=True),
    )),
    Comparison("birth_date", (
        unknown("dob"),
        Level("same", same("dob"), m=0.7, u=0.001, term="dob"),
        Level("one sign off", near("damerau_levenshtein", "dob", 1), m=0.12, u=0.003),
        Level("day and month interchanged", same("dob", "dob_turned"), m=0.02, u=0.0005),
        Level("two parts of three", Any((same("year_month"), same("year_day"), same("month_day"))), m=0.04, u=0.006),
        Level("two signs off", near("damerau_levenshtein", "dob", 2), m=0.04, u=0.02),
        Level("same year", same("birth_year"), m=0.02, u=0.015),
        OTHER,
    )),
    Comparison("residence", (
        Level("not known", All(tuple(missing(column) for column in ("address", "postcode", "city")))),
        Level("same address", same("address"), m=0.5, u=0.001, term="address"),
        Level("address alike", All((_alike("street", 0.9, 2), same("house"))), m=0.06, u=0.0001),
        Level("same street", same("street"), m=0.04, u=0.0005, term="street"),
        Level("street alike", _alike("street", 0.9, 1), m=0.02, u=0.001),
        Level("same postcode", same("postcode"), m=0.1, u=0.001, term="postcode"),
        Level("postcode one sign off", near("damerau_levenshtein", "postcode", 1), m=0.03, u=0.002),
        Level("same postcode area", same("postcode_area"), m=0.03, u=0.005),
        Level("same city", same("city"), m=0.06, u=0.05, term="city"),
        Level("city alike", _alike("city", 0.88, 1), m=0.02, u=0.01),
        Level("differs", Otherwise(), m=0.15, u=0.93),
    )),
    Comparison("birth_place", (
        unknown("birth_place"),
        Level("same", same("birth_place"), m=0.7, u=0.05, term="birth_place"),
        Level("alike", _alike("birth_place", 0.88, 1), m=0.08, u=0.01),
        Level("differs", Otherwise(), m=0.2, u=0.95),
    )),
    Comparison("employer", (
        unknown("employer"),
        Level("same", same("employer"), m=0.5, u=0.02, term="employer"),
        Level("alike", _alike("employer", 0.88, 1), m=0.03, u=0.005),
        Level("differs", Otherwise(), m=0.4, u=0.97),
    )),
    Comparison("email", (
        unknown("emails"),
        Level("shared", shares("emails"), m=0.7, u=0.0001),
        Level("nearly the same", near("levenshtein", "email", 2), m=0.1, u=0.0001),
        Level("same before the @", same("email_local"), m=0.05, u=0.0003),
        Level("differs", Otherwise(), m=0.15, u=0.999),
    )),
    Comparison("phone", (
        unknown("phones"),
        Level("shared", shares("phones"), m=0.6, u=0.0001),
        Level("same last seven digits", shares("phone_tails"), m=0.05, u=0.00001),
        Level("differs", Otherwise(), m=0.35, u=0.999),
    )),
    Comparison("national_id", (
        unknown("national_ids", Disjoint(Field("national_spaces", "l"), Field("national_spaces", "r"))),
        Level("shared", shares("national_ids"), m=0.95, u=0.00002),
        Level("one sign off", near("damerau_levenshtein", "national_id", 1), m=0.02, u=0.00002),
        Level("two signs off", near("damerau_levenshtein", "national_id", 2), m=0.005, u=0.0003),
        Level("differs", Otherwise(), m=0.03, u=0.999),
    )),
)  # fmt: skip
"""All traits, in the order in which they are shown.

Street, postcode and city are one trait, of which the most telling agreement counts alone: who lives in one street lives
in one town, and counting both would make one person of neighbours.
"""

_NO_EVIDENCE: Final = Level("differs", Otherwise(), m=0.5, u=0.5)

EXACT: Final = (
    Comparison("account", (
        unknown("accounts"),
        Level("shared", shares("accounts"), m=0.9, u=1e-7),
        _NO_EVIDENCE,
    )),
    Comparison("device", (
        unknown("devices"),
        Level("shared", shares("devices"), m=0.5, u=1e-6, h=0.05),
        _NO_EVIDENCE,
    )),
)  # fmt: skip
"""Comparisons that are not trained: records rarely come with enough of either to learn from. One has many accounts and
devices, so that two of them differ says nothing."""

ONE_OWNER: Final = {"email": 1e-5, "phone": 1e-5}
"""How often two persons share such an identifier at most, once those that many hold have lost their power. A training
set of thousands cannot tell a chance as small as that, and would have an address that two records share be no proof."""


def with_exact(comparisons: Iterable[Comparison]) -> tuple[Comparison, ...]:
    """Return trained comparisons with those that are not trained, and no identifier weaker than it is."""
    return (*(_one_owner(each) for each in comparisons if each.name not in _EXACT_NAMES), *EXACT)


_EXACT_NAMES: Final = frozenset(each.name for each in EXACT)


def _one_owner(comparison: Comparison) -> Comparison:
    most = ONE_OWNER.get(comparison.name)
    if most is None:
        return comparison
    levels = [
        replace(level, u=min(level.u, most)) if level.label == "shared" and level.u is not None else level
        for level in comparison.levels
    ]
    return replace(comparison, levels=tuple(levels))
