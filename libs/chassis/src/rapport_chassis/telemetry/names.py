"""Typed declarations of telemetry names: what is not declared cannot be recorded.

Each service keeps its names in one file, `telemetry.py`, made of the classes below; the table in its README is
rendered from that file by `names_table`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import TypeAlias

from opentelemetry.trace import SpanKind

AttributeValue: TypeAlias = str | int | float | bool


class Attribute(str):
    """The declared name of one attribute, used as it is as a key.

    Values must be bounded codes, numbers or opaque ids; never payloads, addresses or free text.
    """

    __slots__ = ("description",)
    description: str

    def __new__(cls, name: str, description: str) -> "Attribute":
        """Declare an attribute.

        Args:
            name: dotted lower-case name, by OpenTelemetry's semantic conventions where they have one.
            description: one sentence for the reference table.
        """
        attribute = super().__new__(cls, name)
        attribute.description = description
        return attribute


@dataclass(frozen=True, slots=True)
class SpanName:
    """A declared span. A name with a part in braces is a family; `fill` makes one of its members."""

    name: str
    description: str
    kind: SpanKind = SpanKind.INTERNAL
    attributes: tuple[Attribute, ...] = ()

    def fill(self, **parts: str) -> "SpanName":
        """A member of the family, such as one RPC method. Fill once, at registration, not per call."""
        return replace(self, name=self.name.format(**parts))


@dataclass(frozen=True, slots=True)
class CounterName:
    """A declared count that only grows. `attributes` fix the order of the values given when counting."""

    name: str
    unit: str
    description: str
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True, slots=True)
class GaugeName:
    """A declared value that is set, such as an age or a depth."""

    name: str
    unit: str
    description: str
    attributes: tuple[Attribute, ...] = ()


SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bucket bounds for durations: decision RPCs take well under a millisecond, so the usual 5 ms start is too coarse."""


@dataclass(frozen=True, slots=True)
class HistogramName:
    """A declared distribution, kept as counts between `bounds` (upper ends, inclusive)."""

    name: str
    unit: str
    description: str
    attributes: tuple[Attribute, ...] = ()
    bounds: tuple[float, ...] = field(default=SECONDS)


Declared: TypeAlias = SpanName | CounterName | GaugeName | HistogramName

_KINDS: dict[type, str] = {SpanName: "span", CounterName: "counter", GaugeName: "gauge", HistogramName: "histogram"}


def declared_in(*modules: ModuleType) -> list[Declared]:
    """Every declaration the modules hold, spans first, then by name."""
    found: set[Declared] = set()
    for value in (value for module in modules for value in vars(module).values()):
        if isinstance(value, SpanName | CounterName | GaugeName | HistogramName):
            found.add(value)
    return sorted(found, key=lambda item: (not isinstance(item, SpanName), item.name, item.description))


def names_table(declarations: Iterable[Declared]) -> str:
    """The declarations as a markdown table, for a README."""
    lines = ["| Name | Kind | Unit | Attributes | Meaning |", "|---|---|---|---|---|"]
    for item in declarations:
        unit = "" if isinstance(item, SpanName) else item.unit
        attributes = ", ".join(f"`{attribute}`" for attribute in item.attributes)
        lines.append(f"| `{item.name}` | {_KINDS[type(item)]} | {unit} | {attributes} | {item.description} |")
    return "\n".join(lines)
