"""What values become in a package: never a formula, never markup, never a path out of the archive."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

Path = tuple[str, ...]

_UNSAFE_NAME: Final = re.compile(r"[^a-z0-9]+")
_NUMBER: Final = re.compile(r"[+-]?\d+([.,]\d+)?")
_LONGEST_NAME: Final = 48
_DEEPEST: Final = 12

# With these a spreadsheet begins a formula, in their full-width forms too, and behind blanks that it skips.
_FORMULA: Final = frozenset("=+-@|%\uff1d\uff0b\uff0d\uff20\u2212")


def safe_name(text: str) -> str:
    """Return a name for a file or folder: letters, digits and dashes, never empty, different for different texts."""
    plain = _UNSAFE_NAME.sub("-", text.lower()).strip("-")
    if plain and plain == text and len(plain) <= _LONGEST_NAME:
        return plain
    return f"{plain[:_LONGEST_NAME].strip('-') or 'x'}-{sha256(text.encode()).hexdigest()[:8]}"


def safe_cell(text: str) -> str:
    """Return text that no spreadsheet takes for a formula. Whatever could be one begins with an apostrophe."""
    shown = "".join(" " if letter in "\r\n\t\v\f" else letter for letter in text if letter >= " " or letter in "\r\n\t")
    begins = shown.lstrip()[:1]
    if (begins in _FORMULA and begins and not _NUMBER.fullmatch(shown)) or shown[:1] == "'":
        return f"'{shown}"
    return shown


def cell_of(value: Any) -> str:
    """Return a value as it is in a table."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return safe_cell(value)
        case int() | float():
            return str(value)
        case _:
            return safe_cell(json.dumps(value, ensure_ascii=False))


def flattened(record: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the values of nested objects with their paths; lists stay values."""
    for key, value in record.items():
        if isinstance(value, dict) and value and len(path) < _DEEPEST:
            yield from flattened(value, (*path, key))
        else:
            yield (*path, key), value


def without(value: Any, forbidden: Collection[str], found: dict[str, int]) -> Any:
    """Return a value without the fields that are never disclosed, however deep; count in `found` what was left out."""
    if isinstance(value, dict):
        kept = {}
        for key, each in value.items():
            if plain_name(key) in forbidden:
                found[key] = found.get(key, 0) + 1
            else:
                kept[key] = without(each, forbidden, found)
        return kept
    if isinstance(value, list):
        return [without(each, forbidden, found) for each in value]
    return value


def plain_name(name: str) -> str:
    """Return the name of a field without case and separators: `cardNumber` is `card_number`."""
    return "".join(letter for letter in name.lower() if letter.isalnum())
