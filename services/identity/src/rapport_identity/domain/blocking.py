"""Blocking keys: which records are compared at all. Two records meet if they share a key that few enough hold."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from rapport_identity.domain.folding import Columns

Part = Callable[[Columns], tuple[str, ...]]


@cache
def _value(column: str) -> Part:
    def part(columns: Columns) -> tuple[str, ...]:
        value = columns[column]
        return (value,) if isinstance(value, str) else ()

    return part


@cache
def _each(column: str) -> Part:
    def part(columns: Columns) -> tuple[str, ...]:
        value = columns[column]
        return value if isinstance(value, tuple) else ()

    return part


def _name(columns: Columns) -> tuple[str, ...]:
    """Given name and surname in either order."""
    given, surname = columns["given"], columns["surname"]
    return (" ".join(sorted((given, surname))),) if isinstance(given, str) and isinstance(surname, str) else ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of key.

    Attributes:
        name: One word, part of every key of it.
        parts: What makes up the key; a record lacking a part has no such key, one with several values several keys.
        cap: Holders above which a key brings nobody together any more.
    """

    name: str
    parts: tuple[Part, ...]
    cap: int = 100

    def keys(self, columns: Columns) -> Sequence[str]:
        """Return the keys of a record."""
        values = self.parts[0](columns)
        if not values:
            return values
        keys = [f"{self.name}|{value}" for value in values]
        for part in self.parts[1:]:
            values = part(columns)
            if not values:
                return values
            keys = [f"{key}|{value}" for key in keys for value in values]
        return keys


RULES: Final = (
    Rule("email", (_each("emails"),)),
    Rule("phone", (_each("phone_tails"),)),
    Rule("national", (_each("national_ids"),)),
    Rule("account", (_each("accounts"),)),
    Rule("device", (_each("devices"),)),
    Rule("address", (_value("address"),), cap=30),
    Rule("postcode", (_value("postcode"),), cap=50),
    Rule("surname", (_value("surname"),), cap=50),
    Rule("name", (_name,)),
    Rule("root_sound", (_each("given_roots"), _value("surname_sound")), cap=50),
    Rule("root_area", (_each("given_roots"), _value("postcode_area")), cap=50),
    Rule("root_birth_place", (_each("given_roots"), _value("birth_place")), cap=50),
    Rule("sound_birth_place", (_value("surname_sound"), _value("birth_place")), cap=50),
    Rule("initial_dob", (_value("given_initial"), _value("dob")), cap=50),
    Rule("sound_dob", (_value("surname_sound"), _value("dob")), cap=50),
    Rule("initial_sound_year", (_value("given_initial"), _value("surname_sound"), _value("birth_year")), cap=50),
    Rule("root_day", (_each("given_roots"), _value("month_day")), cap=50),
)
"""The keys of the default configuration."""


class Keys:
    """Makes the keys of records by several rules; a part that some of them have in common is made once.

    Args:
        rules: The rules.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        rules = tuple(rules)
        self._parts = tuple(dict.fromkeys(part for rule in rules for part in rule.parts))
        places = [[self._parts.index(part) for part in rule.parts] for rule in rules]
        self._rules = [(f"{rule.name}|", rule.cap, at[0], at[1:]) for rule, at in zip(rules, places, strict=True)]

    def __call__(self, columns: Columns) -> list[tuple[str, int]]:
        """Return all keys of a record, each with its cap, rule by rule."""
        made = [part(columns) for part in self._parts]
        found: list[tuple[str, int]] = []
        for name, cap, first, rest in self._rules:
            if not (values := made[first]):
                continue
            keys = [name + value for value in values]
            for at in rest:
                if not (values := made[at]):
                    break
                keys = [f"{key}|{value}" for key in keys for value in values]
            else:
                found += [(key, cap) for key in keys]
        return found
