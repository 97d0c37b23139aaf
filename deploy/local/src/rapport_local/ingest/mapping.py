"""The mapping file: which columns of whose files are what. A person writes it, so every fault is named by its place."""

from __future__ import annotations

from abc import abstractmethod
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import Field, ValidationError, field_validator
from rapport_chassis.yaml_text import parse_yaml

from rapport_local.failure import Failure
from rapport_local.ingest.columns import CellField, Code, Condition, IdentifierCell, Part, PersonField, Purpose

Basis = Literal["consent", "contract", "legal_obligation", "legitimate_interest", "public_task", "vital_interest"]


class Table(Part):
    """What all tables have in common."""

    file: Path
    """The file, seen from the mapping."""
    format: Literal["csv", "jsonl", "parquet", ""] = ""
    """What it is; absent: by its ending."""
    source: Code
    """The source that identity knows it by, for example "crm"; it decides for which purpose records are collected."""
    where: tuple[Condition, ...] = ()
    """Rows that belong to the table: all conditions hold."""

    @property
    @abstractmethod
    def whose(self) -> str:
        """Column that says whose a row is."""


class Customers(Table):
    """A table with a row for each customer; or any table whose rows name their customer."""

    key: str
    """Column of the customer's key."""
    repeated_keys: Literal["reject", "first"] = "reject"
    """What a key means that came before: a fault, or, where many rows name one customer, nothing new."""
    identifiers: tuple[IdentifierCell, ...] = Field(min_length=1)
    """What the customer is recognised by."""
    person: dict[PersonField, CellField] = Field(default_factory=dict)
    """What is known of the person."""
    occurred_at: CellField | None = None
    """When the source wrote the row; absent: now."""
    brand: CellField | None = None
    """The brand it was collected by."""
    market: CellField | None = None
    """The market."""
    locale: CellField | None = None
    """The language the person prefers."""
    time_zone: CellField | None = None
    """The time zone the person lives in."""
    customer_since: CellField | None = None
    """The day the person became a customer."""

    @property
    def whose(self) -> str:
        """Column that says whose a row is."""
        return self.key


class Transactions(Table):
    """A table of order lines, or of orders; rows of one order become one touchpoint."""

    name: Code
    """What it is called in this mapping; part of the key that makes sending it again safe."""
    kind: Literal["order_placed", "order_returned"] = Field(alias="as")
    """What its rows are."""
    order: str
    """Column of the order's number."""
    identifiers: tuple[IdentifierCell, ...] = Field(min_length=1)
    """Whose order it is."""
    occurred_at: CellField
    """When it happened; the earliest of its rows counts."""
    channel: CellField
    """Where it happened: web, app, store, call and so on."""
    purposes: tuple[Purpose, ...] = Field(min_length=1, max_length=20)
    """What it may serve: the purposes it was collected for."""
    product: CellField
    """The product's code."""
    category: CellField | None = None
    """The product's place in the catalogue."""
    quantity: CellField
    """How many; a negative number counts as positive in returns."""
    unit_price: CellField
    """Price of one."""
    total: CellField | None = None
    """What was paid in all; absent: the sum of the lines."""
    currency: CellField
    """ISO 4217 currency."""
    brand: CellField | None = None
    """The brand."""
    market: CellField | None = None
    """The market."""

    @property
    def whose(self) -> str:
        """Column that says whose a row is."""
        return self.identifiers[0].column


class DeclaredItem(Part):
    """A purpose that the operator declares to be consented to."""

    purpose: Purpose
    """The purpose."""
    brand: Code | None = None
    """The brand; needed where the purpose has brands."""
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of customers it is declared for, chosen by their profile: always the same ones."""


class Declared(Part):
    """Consents by the operator's word alone: refused in production, shown as declared wherever they count."""

    rule: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./:-]{0,99}$")]
    """Why they are believed to exist, as a code; it stands in every receipt."""
    items: tuple[DeclaredItem, ...] = Field(min_length=1)
    """What is declared."""


class PastConsents(Table):
    """Decisions that customers made in an earlier system; imported with the file's hash as evidence."""

    key: str
    """Column of the row's own key."""
    customer: str
    """Column of the customer's key, as in the customers' table of the same source."""
    purpose: CellField
    """The purpose."""
    brand: CellField | None = None
    """The brand."""
    status: CellField
    """granted, refused, withdrawn, objected or opted_out."""
    occurred_at: CellField
    """When it was decided."""
    exported_at: datetime
    """Date of the export, with an offset."""

    @property
    def whose(self) -> str:
        """Column that says whose a row is."""
        return self.customer

    @field_validator("exported_at")
    @classmethod
    def _aware(cls, value: datetime) -> datetime:
        if value.tzinfo is None:
            raise ValueError("needs an offset, such as Z")
        return value


class Retention(Part):
    """What `rapport retain` does for customers who may leave, once they are taken in."""

    market: Annotated[str, Field(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")]
    """The market it is done in."""
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    """Currency of its prices."""
    percent: Annotated[int, Field(gt=0, lt=100)] = 10
    """What an offer takes off, in percent."""
    days: Annotated[int, Field(gt=0, le=366)] = 30
    """For how many days an offer holds."""
    products: Annotated[int, Field(gt=0, le=100)] = 5
    """How many of the products that were sold for most get a price: the one that was paid most often."""
    cost_share: Annotated[float, Field(gt=0, lt=1)] = 0.6
    """What a product costs, as a share of its price; no price falls below that and a margin of 10 percent."""
    purpose: Purpose
    """The purpose that a mail about an offer rests on."""


class Mapping(Part):
    """A whole mapping file."""

    name: Code
    """What this import is called. Orders and products of two names never mix."""
    time_zone: str = "UTC"
    """IANA time zone of times without an offset."""
    purposes: dict[Purpose, Basis] = Field(default_factory=dict)
    """Purposes that must be in force, with their legal basis; `--with-purposes` authors those that are missing."""
    customers: tuple[Customers, ...] = ()
    """Tables of customers."""
    past_consents: tuple[PastConsents, ...] = ()
    """Tables of decisions made in the past."""
    declared_consents: Declared | None = None
    """Consents by the operator's word."""
    transactions: tuple[Transactions, ...] = ()
    """Tables of transactions."""
    ends: date | None = None
    """The last day of data of the past; with `--as-if-now` every time is moved so that this day is yesterday."""
    moved_days: int = 0
    """By how many days every time is moved."""
    retention: Retention | None = None
    """What is done for customers who may leave."""

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("is no IANA time zone") from None
        return value

    def as_if_now(self, today: date) -> Mapping:
        """Return it with every time moved so that the data end the day before.

        Raises:
            Failure: It does not say when they end.
        """
        if self.ends is None:
            raise Failure("the mapping does not say when its data end", hint="say `ends: YYYY-MM-DD` in it")
        return self.model_copy(update={"moved_days": (today - self.ends).days - 1})

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of times without an offset."""
        return ZoneInfo(self.time_zone)


def read_mapping(path: Path) -> Mapping:
    """Return the mapping of a file.

    Raises:
        Failure: It cannot be read, or says something that does not fit; each place at fault is named.
    """
    try:
        return Mapping.model_validate(parse_yaml(path.read_text(encoding="utf-8")) or {})
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Failure(f"{path} cannot be read", details=str(error)) from error
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False)]
        raise Failure(f"{path} is not a mapping", details="\n".join(lines)) from error
