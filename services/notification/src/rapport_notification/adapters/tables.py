"""Tables of the notification service. Hot paths use SQL on them; the declarations keep schema and code equal."""

from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

from rapport_chassis.database.columns import binary, number, small, words
from rapport_chassis.database.tables import chassis_tables, service_base
from rapport_privacy.participant.tables import participant_tables
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    SmallInteger,
    Text,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

if TYPE_CHECKING:
    Base = SQLModel
else:
    Base = service_base("notification")
chassis_tables(Base)
participant_tables(Base)

_WAITING = sql("state IN (1, 2)")
_IN_DOUBT = sql("state IN (3, 5)")


def _integer(**options: Any) -> Any:
    return Column(Integer, **{"nullable": False, **options})


def _json() -> Any:
    return Column(JSONB, nullable=False)


class NotificationTable(Base, table=True):
    """The send ledger: a row for each message. It names nobody: a template, ids, and values that name nobody."""

    __tablename__ = "notifications"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("state BETWEEN 1 AND 10", name="state"),
        Index("uq_notifications_cause", "recipient_id", "cause", unique=True, postgresql_where=sql("cause <> ''")),
        Index("ix_notifications_waiting", "priority", "brand_id", "due_us", postgresql_where=_WAITING),
        Index("ix_notifications_doubt", "look_us", postgresql_where=_IN_DOUBT),
        Index("ix_notifications_recipient_id", "recipient_id", "accepted_us"),
        Index("ix_notifications_accepted_us", "accepted_us", "notification_id"),
        Index(
            "ix_notifications_supersede",
            "recipient_id",
            "supersede_key",
            postgresql_where=sql("supersede_key <> ''"),
        ),
        Index("ix_notifications_openings", "due_us", postgresql_where=sql("state = 2 AND hold = 1")),
        Index("ix_notifications_ambiguous", "accepted_us", postgresql_where=sql("verdict = 2")),
        Index("ix_notifications_cancel", "cancel_keys", postgresql_using="gin", postgresql_where=_WAITING),
    )

    notification_id: str = Field(sa_column=words(primary_key=True))
    recipient_id: str = Field(sa_column=words())
    """As named when it was taken on: any id of the person, or a privacy request."""
    message_class: int = Field(sa_column=small(name="class"))
    priority: int = Field(sa_column=small())
    category: str = Field(sa_column=words())
    purpose_id: str = Field(sa_column=words())
    brand_id: str = Field(sa_column=words())
    market: str = Field(sa_column=words())
    template_id: str = Field(sa_column=words())
    template_brand: str = Field(sa_column=words())
    """The brand whose version it is; empty where the brand has none of its own."""
    template_version: int = Field(sa_column=_integer())
    channels: list[Any] = Field(sa_column=_json())
    """Channels it may take, each with the purpose that allows it there."""
    content: bytes = Field(sa_column=binary())
    """Values of the template's variables, as the contract's message."""
    decision_id: str = Field(sa_column=words())
    decision_ids: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    cause: str = Field(sa_column=words())
    """What caused it: an event and a template, or a trigger; a recipient has one message of a cause. Empty for none."""
    cause_event_id: str = Field(sa_column=words())
    trigger_id: str = Field(sa_column=words())
    supersede_key: str = Field(sa_column=words())
    about_us: int = Field(sa_column=number())
    cancelled_by: list[Any] = Field(sa_column=_json())
    """Events that make it pointless: name, and fields with their values."""
    cancel_keys: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    """What such an event is found by."""
    fallback_us: int = Field(sa_column=number())
    """How long before the next channel is tried; 0 for never."""
    at_least_epoch: str = Field(sa_column=words())
    at_least_position: int = Field(sa_column=number())
    accepted_us: int = Field(sa_column=number())
    not_before_us: int = Field(sa_column=number())
    locale: str = Field(sa_column=words())
    """Language that is wished; empty for that of the address."""
    traceparent: str | None = Field(sa_column=words(nullable=True))
    """The span that had it taken on; absent where that was not recorded."""
    channel: int = Field(sa_column=small())
    """The channel chosen; 0 while none is."""
    tried: list[int] = Field(sa_column=Column(ARRAY(SmallInteger), nullable=False))
    """Channels that did not reach the person."""
    ended_us: int = Field(sa_column=number())
    """When it ended; 0 while it has not."""
    delivered_us: int = Field(sa_column=number())
    """When it arrived, as far as the provider can tell; 0 if that is not known."""
    look_us: int = Field(sa_column=number())
    """When a doubt is looked at next."""
    digest: bytes = Field(sa_column=binary())
    """Of the last receipt."""
    receipts: int = Field(sa_column=_integer())
    """How many there are."""
    state: int = Field(sa_column=small())
    fence: int = Field(sa_column=number())
    attempt: int = Field(sa_column=_integer())
    series: int = Field(sa_column=_integer())
    due_us: int = Field(sa_column=number())
    expires_us: int | None = Field(sa_column=number(nullable=True))
    leased_until_us: int = Field(sa_column=number())
    provider: str = Field(sa_column=words())
    begun_us: int = Field(sa_column=number())
    series_us: int = Field(sa_column=number())
    repeat_until_us: int = Field(sa_column=number())
    verdict: int | None = Field(sa_column=small(nullable=True))
    hold: int | None = Field(sa_column=small(nullable=True))
    drop_reason: int | None = Field(sa_column=small(nullable=True))
    ending: int | None = Field(sa_column=small(nullable=True))


class AttemptTable(Base, table=True):
    """Attempts to hand messages over, each written before its first byte leaves."""

    __tablename__ = "attempts"
    __table_args__: ClassVar[Any] = (Index("ix_attempts_address_hash", "address_hash", "began_us"),)

    notification_id: str = Field(sa_column=words(primary_key=True))
    attempt: int = Field(sa_column=_integer(primary_key=True, autoincrement=False))
    channel: int = Field(sa_column=small())
    provider: str = Field(sa_column=words())
    began_us: int = Field(sa_column=number())
    ended_us: int = Field(sa_column=number())
    """0 while it is under way."""
    outcome: int = Field(sa_column=small())
    """0 under way, 1 sent, 2 not sent, 3 nobody can tell."""
    code: int = Field(sa_column=_integer())
    status: str = Field(sa_column=words())
    reference: str = Field(sa_column=words())
    """What the provider calls it."""
    address_hash: bytes = Field(sa_column=binary())
    """Stands for the address; empty where there is none."""
    contact_point_id: str = Field(sa_column=words())
    permission: bytes = Field(sa_column=binary())
    """The gate's answer, as the contract's message."""
    person_id: str = Field(sa_column=words())
    """The id that stood for the person."""
    places: list[Any] = Field(sa_column=_json())
    """Places it holds in caps: name and day."""
    place_state: int = Field(sa_column=small())
    """0 reserved, 1 committed, 2 refunded."""


class ReceiptTable(Base, table=True):
    """Decisions about messages, each sealed over the one before."""

    __tablename__ = "receipts"

    notification_id: str = Field(sa_column=words(primary_key=True))
    number: int = Field(sa_column=_integer(primary_key=True, autoincrement=False))
    canonical: bytes = Field(sa_column=binary())
    digest: bytes = Field(sa_column=binary())


class PreferenceTable(Base, table=True):
    """What people want, as they said it: category by channel; channel 0 is all."""

    __tablename__ = "preferences"

    profile_id: str = Field(sa_column=words(primary_key=True))
    category: str = Field(sa_column=words(primary_key=True))
    channel: int = Field(sa_column=small(primary_key=True, autoincrement=False))
    wanted: bool = Field(sa_column=Column(Boolean, nullable=False))
    set_us: int = Field(sa_column=number())


class PersonTable(Base, table=True):
    """Where people say to live, and how often their preferences changed."""

    __tablename__ = "people"

    profile_id: str = Field(sa_column=words(primary_key=True))
    version: int = Field(sa_column=number())
    zone: str = Field(sa_column=words())
    country: str = Field(sa_column=words())
    place_us: int = Field(sa_column=number())
    """When that was said; 0 if it was not."""


class CapCountTable(Base, table=True):
    """Places taken in caps, by day of the person's calendar: reserved or for good."""

    __tablename__ = "cap_counts"
    __table_args__: ClassVar[Any] = (Index("ix_cap_counts_day", "day"),)

    profile_id: str = Field(sa_column=words(primary_key=True))
    cap: str = Field(sa_column=words(primary_key=True))
    day: date = Field(sa_column=Column(Date, primary_key=True, nullable=False))
    taken: int = Field(sa_column=_integer())


class SuppressionTable(Base, table=True):
    """Addresses that are not written to, as keyed hashes: they name nobody, and outlive an erasure."""

    __tablename__ = "suppressions"
    __table_args__: ClassVar[Any] = (CheckConstraint("reason IN ('hard', 'soft', 'complaint')", name="reason"),)

    address_hash: bytes = Field(sa_column=binary(primary_key=True))
    channel: int = Field(sa_column=small(primary_key=True, autoincrement=False))
    reason: str = Field(sa_column=words())
    since_us: int = Field(sa_column=number())
    until_us: int | None = Field(sa_column=number(nullable=True))
