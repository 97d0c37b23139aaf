"""The language of templates: Jinja2 with almost nothing in it.

No globals, no calls but of macros of the same template, no attributes of values, few filters, and no operator that
makes much out of little. What is left can still loop in loops; the process it runs in bounds that.
"""

from __future__ import annotations

from typing import Any, Final

from jinja2 import StrictUndefined
from jinja2.exceptions import SecurityError
from jinja2.runtime import LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

_FILTERS: Final = (
    "upper",
    "lower",
    "capitalize",
    "trim",
    "length",
    "first",
    "last",
    "default",
    "urlencode",
    "escape",
    "e",
)
_TESTS: Final = (
    "defined",
    "undefined",
    "none",
    "true",
    "false",
    "eq",
    "equalto",
    "==",
    "ne",
    "!=",
    "lt",
    "<",
    "gt",
    ">",
)
_LOOP: Final = frozenset({"index", "index0", "first", "last", "length"})
_FACTOR: Final = 10**6


class Sandbox(ImmutableSandboxedEnvironment):
    """Compiles and runs templates."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, *, autoescape: bool) -> None:
        """Choose whether values are escaped, as they are in HTML."""
        super().__init__(autoescape=autoescape, undefined=StrictUndefined, keep_trailing_newline=True)
        self.globals.clear()
        self.filters = {name: self.filters[name] for name in _FILTERS}
        self.tests = {name: self.tests[name] for name in _TESTS}

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Allow what a loop says of itself; values have no attributes, and are taken apart by their names."""
        return isinstance(obj, LoopContext) and attr in _LOOP

    def is_safe_callable(self, obj: Any) -> bool:
        """Allow macros."""
        return isinstance(obj, Macro)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Multiply and divide small numbers; never text.

        Raises:
            SecurityError: Something else is asked for.
        """
        numbers = all(isinstance(each, int) and abs(each) <= _FACTOR for each in (left, right))
        if operator == "**" or not numbers:
            raise SecurityError("this operator takes small numbers only")
        return super().call_binop(context, operator, left, right)
