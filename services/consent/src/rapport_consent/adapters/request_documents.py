"""Requests as the register keeps them: the dataclass as a JSON document, read back by its annotations."""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

DocumentT = TypeVar("DocumentT")


def written(value: Any) -> Any:
    """Return what JSON can hold of a frozen dataclass; what is at its default is left out."""
    if is_dataclass(value) and not isinstance(value, type):
        found = {}
        for field in fields(value):
            held = getattr(value, field.name)
            if held != field.default:
                found[field.name] = written(held)
        return found
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [written(each) for each in value]
    return value


def read(cls: type[DocumentT], document: dict[str, Any]) -> DocumentT:
    """Return the dataclass that a document was written from.

    Raises:
        ValueError: It was written from something else.
    """
    hints: dict[str, Any] = _hints(cls)  # type: ignore[arg-type]  # a class is hashable
    return cls(**{name: _read(hints[name], value) for name, value in document.items() if name in hints})


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _read(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        (hint,) = [each for each in get_args(hint) if each is not type(None)]
        return _read(hint, value)
    if origin is tuple:
        return tuple(_read(get_args(hint)[0], each) for each in value)
    if is_dataclass(hint):
        return read(hint, value)  # type: ignore[arg-type]
    if hint is datetime:
        return datetime.fromisoformat(value)
    if hint is date:
        return date.fromisoformat(value)
    return hint(value) if isinstance(hint, type) and issubclass(hint, Enum) else value
