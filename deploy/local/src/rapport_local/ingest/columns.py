"""What a mapping file says of columns: where a value comes from, which rows count, who a row is about."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,62}$")]
Purpose = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{1,62}$")]
PersonField = Literal[
    "full_name",
    "given_names",
    "middle_names",
    "surname",
    "suffix",
    "birth_date",
    "birth_place",
    "street",
    "house_number",
    "unit",
    "po_box",
    "city",
    "region",
    "postal_code",
    "country",
    "employer",
    "occupation",
]
"""What a customer's row may say of the person; names and addresses are the present ones."""


class Part(BaseModel):
    """Some part of a mapping file; what it does not know it refuses."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, populate_by_name=True)


class Cell(Part):
    """Where one value comes from: a column, or a constant. In the file a bare text is the name of a column."""

    column: str = ""
    """Name of the column."""
    value: str = ""
    """The value itself, the same for every row."""
    values: dict[str, str] = {}
    """What the column's values mean; one that is not named here is a fault of its row."""
    otherwise: str | None = None
    """What a value means that `values` does not name; absent: it is a fault."""
    format: str = ""
    """How a date or time is written, as for strptime; absent: ISO 8601."""

    @model_validator(mode="after")
    def _one_origin(self) -> Cell:
        if bool(self.column) == bool(self.value):
            raise ValueError("needs either a column or a value")
        return self


def _cell(given: Any) -> Any:
    return {"column": given} if isinstance(given, str) else given


CellField = Annotated[Cell, BeforeValidator(_cell)]


class Condition(Part):
    """Which rows belong to a table; the others are left out and counted."""

    column: str
    """Name of the column."""
    present: bool | None = None
    """Whether it must hold something."""
    above: float | None = None
    """It must be a number above this."""
    below: float | None = None
    """It must be a number below this."""
    one_of: tuple[str, ...] | None = None
    """It must be one of these."""
    none_of: tuple[str, ...] | None = None
    """It must be none of these."""

    @model_validator(mode="after")
    def _one_test(self) -> Condition:
        if sum(each is not None for each in (self.present, self.above, self.below, self.one_of, self.none_of)) != 1:
            raise ValueError("needs exactly one of present, above, below, one_of, none_of")
        return self


class IdentifierCell(Part):
    """Something that is meant to belong to one person."""

    kind: Literal["email", "phone", "account", "device", "cookie", "external", "national_id"]
    """What it is."""
    namespace: Annotated[str, Field(pattern=r"^([a-z][a-z0-9_.-]{0,62})?$")] = ""
    """The system that issued it; none for an e-mail address or telephone number."""
    column: str
    """Name of the column."""
    pattern: Annotated[str, Field(pattern=r"^([^{}]*[{][}][^{}]*)?$")] = ""
    """Text in which the value takes the place of {}: addresses made up for data that name nobody."""
