"""Tables around the send ledger: watches, feedback, unsubscribes, engagement, inboxes, endpoints."""

from typing import Any, ClassVar
from uuid import UUID

from rapport_chassis.database.columns import binary, number, small, words
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    Text,
    Uuid,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field

from rapport_notification.adapters.tables import Base


def _flag(**options: Any) -> Any:
    return Column(Boolean, **{"nullable": False, **options})


class WatchTable(Base, table=True):
    """Products that people watch, under the id that the caller named."""

    __tablename__ = "watches"
    __table_args__: ClassVar[Any] = (Index("ix_watches_product_id", "product_id", "market", "profile_id"),)

    profile_id: str = Field(sa_column=words(primary_key=True))
    product_id: str = Field(sa_column=words(primary_key=True))
    variant_id: str = Field(sa_column=words(primary_key=True))
    market: str = Field(sa_column=words(primary_key=True))
    since_us: int = Field(sa_column=number())


class StockSeenTable(Base, table=True):
    """Whether things could be bought when they were last heard of: what "again" is measured by."""

    __tablename__ = "stocks_seen"

    product_id: str = Field(sa_column=words(primary_key=True))
    variant_id: str = Field(sa_column=words(primary_key=True))
    market: str = Field(sa_column=words(primary_key=True))
    version: int = Field(sa_column=number())
    available: bool = Field(sa_column=_flag())


class FanoutTable(Base, table=True):
    """Messages to everybody who watches something, some at a time. A row goes once all have theirs."""

    __tablename__ = "fanouts"

    fanout_id: str = Field(sa_column=words(primary_key=True))
    """The event and the trigger."""
    trigger_id: str = Field(sa_column=words())
    version: int = Field(sa_column=Column(Integer, nullable=False))
    body: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    """What happened; it names nobody."""
    after_id: str = Field(sa_column=words())
    """Everybody up to this id has theirs."""
    traceparent: str | None = Field(sa_column=words(nullable=True))
    """The span that had it begun; absent where that was not recorded."""


class FeedbackTable(Base, table=True):
    """What came back of attempts, each kind once."""

    __tablename__ = "feedback"
    __table_args__: ClassVar[Any] = (Index("ix_feedback_address_hash", "address_hash", "channel", "at_us"),)

    notification_id: str = Field(sa_column=words(primary_key=True))
    attempt: int = Field(sa_column=small(primary_key=True, autoincrement=False))
    kind: str = Field(sa_column=words(primary_key=True))
    channel: int = Field(sa_column=small())
    address_hash: bytes = Field(sa_column=binary())
    at_us: int = Field(sa_column=number())


class UnsubscribeTable(Base, table=True):
    """Who wants no more, written down before the ledger is told; the request id makes that safe to repeat."""

    __tablename__ = "unsubscribes"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("state IN ('open', 'recorded', 'refused')", name="state"),
        Index("ix_unsubscribes_profile_id", "profile_id"),
        Index("ix_unsubscribes_next_us", "next_us", postgresql_where=sql("state = 'open'")),
    )

    request_id: UUID = Field(sa_column=Column(Uuid, primary_key=True, nullable=False))
    notification_id: str = Field(sa_column=words())
    profile_id: str = Field(sa_column=words())
    channel: int = Field(sa_column=small())
    purpose_ids: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    """Empty for all direct marketing."""
    brand_id: str = Field(sa_column=words())
    method: int = Field(sa_column=small())
    occurred_us: int = Field(sa_column=number())
    state: str = Field(sa_column=words())
    tries: int = Field(sa_column=Column(Integer, nullable=False))
    next_us: int = Field(sa_column=number())
    """When the ledger is told next; once it is, since when."""
    position: int = Field(sa_column=number())
    """In the ledger; 0 before it is there."""


class EngagementTable(Base, table=True):
    """What was done with messages, told once it is clear whether a person did it."""

    __tablename__ = "engagements"
    __table_args__: ClassVar[Any] = (
        Index("ix_engagements_settles_us", "settles_us", postgresql_where=sql("told = 0")),
    )

    notification_id: str = Field(sa_column=words(primary_key=True))
    engagement: int = Field(sa_column=small(primary_key=True, autoincrement=False))
    link: str = Field(sa_column=words(primary_key=True))
    at_us: int = Field(sa_column=number())
    looks: int = Field(sa_column=small())
    """What the request itself looked like: 0 cannot be told, 1 a person, 2 a machine."""
    settles_us: int = Field(sa_column=number())
    told: int = Field(sa_column=small())
    """0 not yet, 1 told, 2 told as a machine's, which a person may still correct."""


class InboxHeadTable(Base, table=True):
    """The one row that every write to an inbox locks: positions are in commit order."""

    __tablename__ = "inbox_head"
    __table_args__: ClassVar[Any] = (CheckConstraint("singleton", name="singleton"),)

    singleton: bool = Field(sa_column=_flag(primary_key=True, server_default=sql("true")))
    position: int = Field(sa_column=number())


class InboxMessageTable(Base, table=True):
    """Messages that people find inside a site or an application. A change takes a new position."""

    __tablename__ = "inbox_messages"
    __table_args__: ClassVar[Any] = (Index("ix_inbox_messages_profile_id", "profile_id", "position"),)

    notification_id: str = Field(sa_column=words(primary_key=True))
    position: int = Field(sa_column=number())
    profile_id: str = Field(sa_column=words())
    brand_id: str = Field(sa_column=words())
    category: str = Field(sa_column=words())
    locale: str = Field(sa_column=words())
    subject: str = Field(sa_column=words())
    body: str = Field(sa_column=words())
    sent_us: int = Field(sa_column=number())
    read_us: int = Field(sa_column=number())
    """0 while it was not read."""
    removed: bool = Field(sa_column=_flag())


class EndpointTable(Base, table=True):
    """Where browsers and systems listen. The address and its secrets are encrypted."""

    __tablename__ = "endpoints"
    __table_args__: ClassVar[Any] = (Index("ix_endpoints_profile_id", "profile_id", "registered_us"),)

    endpoint_id: str = Field(sa_column=words(primary_key=True))
    profile_id: str = Field(sa_column=words())
    channel: int = Field(sa_column=small())
    host: str = Field(sa_column=words())
    digest: bytes = Field(sa_column=binary(unique=True))
    """Keyed, over person and address: the same is not registered twice."""
    sealed: bytes = Field(sa_column=binary())
    registered_us: int = Field(sa_column=number())
    failures: int = Field(sa_column=small())
    """In a row."""
    paused_until_us: int = Field(sa_column=number())
    """0 while it answers."""


class TextTable(Base, table=True):
    """Texts that people sent and of which something is left to do. A row goes once that is done."""

    __tablename__ = "texts"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("meaning IN ('stop', 'start', 'help', 'review')", name="meaning"),
        Index("ix_texts_due_us", "due_us", postgresql_where=sql("meaning <> 'review'")),
        Index("ix_texts_received_us", "received_us", "text_id", postgresql_where=sql("meaning = 'review'")),
        Index("ix_texts_address_hash", "address_hash"),
        Index("ix_texts_profile_id", "profile_id"),
    )

    text_id: str = Field(sa_column=words(primary_key=True))
    address_hash: bytes = Field(sa_column=binary())
    profile_id: str = Field(sa_column=words())
    """Whom the last message to the number was for; empty if there was none."""
    notification_id: str = Field(sa_column=words())
    """That message."""
    brand_id: str = Field(sa_column=words())
    meaning: str = Field(sa_column=words())
    language: str = Field(sa_column=words())
    """That it is answered in."""
    sealed: bytes = Field(sa_column=binary())
    """The number, and what is to be looked at, encrypted."""
    received_us: int = Field(sa_column=number())
    due_us: int = Field(sa_column=number())
    """When it is taken up next."""
    tries: int = Field(sa_column=small())
    unknown: bool = Field(sa_column=_flag())
    """Whose number it is, has still to be asked."""
    begun: bool = Field(sa_column=_flag())
    """An answer may have left."""
