"""Settings for people to read: the effective ones, masked, and the table of all there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from rapport_chassis.settings import ServiceSettings

_MASK = "********"


class SettingRow(NamedTuple):
    """One effective setting: the environment variable that sets it, and its value for a person to read."""

    variable: str
    value: str


def masked(settings: ServiceSettings) -> list[SettingRow]:
    """Return every effective setting, the value of each secret masked."""
    prefix = settings.model_config.get("env_prefix", "")
    return [SettingRow(prefix + name, value) for name, value in _values(settings, "")]


def settings_table(settings_class: type[BaseSettings]) -> str:
    """Return the markdown table of all settings of a process: variable, default, meaning."""
    prefix = settings_class.model_config.get("env_prefix", "")
    rows = [
        f"| `{prefix}{name}` | {_default(field)} | {field.description or ''} |"
        for name, field in _leaves(settings_class, "")
    ]
    return "\n".join(["| Variable | Default | Meaning |", "|---|---|---|", *rows])


def _values(model: BaseModel, path: str) -> Iterator[tuple[str, str]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        variable = path + name.upper()
        if isinstance(value, BaseModel):
            yield from _values(value, f"{variable}__")
        elif isinstance(value, SecretStr):
            yield variable, _MASK
        else:
            yield variable, "" if value is None else str(value)


def _leaves(model: type[BaseModel], path: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        group = _group(field)
        if group is None:
            yield path + name.upper(), field
        else:
            yield from _leaves(group, f"{path}{name.upper()}__")


def _group(field: FieldInfo) -> type[BaseModel] | None:
    if get_origin(field.annotation) is tuple:  # set as one JSON list, whatever its entries are
        return None
    for candidate in (field.annotation, *get_args(field.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _default(field: FieldInfo) -> str:
    default = field.get_default()
    if default is PydanticUndefined:
        return "required"
    return "absent" if default is None else f"`{default}`"
