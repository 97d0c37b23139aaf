"""Tables of privacy requests."""

from datetime import date, datetime
from typing import Any, ClassVar

from rapport_chassis.database.columns import binary, moment, words
from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    SmallInteger,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from rapport_consent.adapters.tables import Base

_STATES = ("RECEIVED", "VERIFIED", "RUNNING", "COMPLETED", "REFUSED", "CANCELLED")


def _key() -> Any:
    return Field(sa_column=words(primary_key=True))


def _text(*, default: bool = False) -> Any:
    return Field(sa_column=words(server_default="" if default else None))


def _time(*, nullable: bool = False) -> Any:
    return Field(sa_column=moment(nullable=nullable))


def _bytes(*, nullable: bool = False) -> Any:
    return Field(sa_column=binary(nullable=nullable))


class PrivacyRequestTable(Base, table=True):
    """The register: one row a request; `document` is the request, other columns are what it is found by."""

    __tablename__ = "privacy_requests"
    __table_args__: ClassVar[Any] = (
        CheckConstraint(f"state IN {_STATES}", name="state"),
        Index(None, "look_at", postgresql_where="look_at IS NOT NULL"),
        Index(None, "due_on", "request_id"),
        Index(None, "profile_id", postgresql_where="profile_id <> ''"),
    )

    request_id: str = _key()
    state: str = _text()
    stage: str = _text(default=True)
    profile_id: str = _text(default=True)
    assignee: str = _text(default=True)
    rights: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    next_action: str = _text()
    due_on: date | None = Field(sa_column=Column(Date))
    received_at: datetime = _time()
    closed_at: datetime | None = _time(nullable=True)
    look_at: datetime | None = _time(nullable=True)
    """When the saga is to look at it again; null while there is nothing to do by itself."""
    version: int = Field(sa_column=Column(BigInteger, nullable=False, server_default="1"))
    document: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


class ActiveRightTable(Base, table=True):
    """At most one request that runs per person and right."""

    __tablename__ = "privacy_active_rights"

    profile_id: str = _key()
    right_code: str = _key()
    request_id: str = Field(sa_column=Column(Text, nullable=False, index=True))


class AskedTaskTable(Base, table=True):
    """The saga's journal: what each participant was asked, and answered."""

    __tablename__ = "privacy_asked_tasks"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("(answer IS NULL) = (answered_at IS NULL)", name="answer"),
        Index("uq_privacy_asked_tasks_attempt", "request_id", "participant", "kind", "attempt", unique=True),
        Index(None, "hold_id", postgresql_where="hold_id IS NOT NULL"),
        Index(None, "call_at", postgresql_where="participant_kind = 'WEBHOOK' AND answer IS NULL"),
    )

    task_id: str = _key()
    request_id: str = _text()
    hold_id: str | None = Field(sa_column=Column(Text))
    participant: str = _text()
    participant_kind: str = _text()
    kind: int = Field(sa_column=Column(SmallInteger, nullable=False))
    attempt: int = Field(sa_column=Column(Integer, nullable=False))
    asked_at: datetime = _time()
    due_at: datetime | None = _time(nullable=True)
    answered_at: datetime | None = _time(nullable=True)
    outcome: int | None = Field(sa_column=Column(SmallInteger))
    answer: bytes | None = _bytes(nullable=True)
    """The PrivacyTaskCompleted, exactly as it was signed."""
    confirmed_by: str = _text(default=True)
    calls: int = Field(sa_column=Column(Integer, nullable=False, server_default="0"))
    """How often it was called for, where the participant is called over HTTP."""
    call_at: datetime | None = _time(nullable=True)
    """When it is called for next."""


class VaultTable(Base, table=True):
    """What names a requester: encrypted under a key of its own, gone once the closing notice is sent."""

    __tablename__ = "privacy_vault"

    request_id: str = _key()
    sealed: bytes = _bytes()
    notification_id: str | None = Field(sa_column=Column(Text))
    """The notification that was given the address last."""


class CodeTable(Base, table=True):
    """One-time codes: wanted, sent, tried."""

    __tablename__ = "privacy_codes"
    __table_args__: ClassVar[Any] = (Index("ix_privacy_codes_wanted", "wanted_at", postgresql_where="sent_at IS NULL"),)

    request_id: str = _key()
    wanted_at: datetime = _time()
    sent_at: datetime | None = _time(nullable=True)
    expires_at: datetime | None = _time(nullable=True)
    salt: bytes | None = _bytes(nullable=True)
    digest: bytes | None = _bytes(nullable=True)
    attempts: int = Field(sa_column=Column(Integer, nullable=False, server_default="0"))
    codes: int = Field(sa_column=Column(Integer, nullable=False, server_default="1"))
    """How many were sent: there is an end to it."""


class HoldTable(Base, table=True):
    """Legal holds."""

    __tablename__ = "privacy_holds"
    __table_args__: ClassVar[Any] = (Index("uq_privacy_holds_task_request_id", "task_request_id", unique=True),)

    hold_id: str = _key()
    task_request_id: str = _text()
    """Its tasks go to participants under this request id."""
    profile_id: str = Field(sa_column=Column(Text, nullable=False, index=True))
    records: bytes = _bytes()
    """A LegalHold as participants are told it."""
    matter_id: str = _text()
    ground: str = _text()
    review_at: datetime = _time()
    placed_at: datetime = _time()
    placed_by: str = _text()
    released_at: datetime | None = _time(nullable=True)
    released_by: str = _text(default=True)


class PackageTable(Base, table=True):
    """Sealed packages; with its row the key of a package is gone."""

    __tablename__ = "privacy_packages"

    request_id: str = _key()
    right_code: str = _key()
    sealed_key: bytes = _bytes()
    sha256: bytes = _bytes()
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    sealed_at: datetime = _time()
    expires_at: datetime = Field(sa_column=moment(index=True))


class PackagePieceTable(Base, table=True):
    """The pieces of a package, each encrypted."""

    __tablename__ = "privacy_package_pieces"

    request_id: str = _key()
    right_code: str = _key()
    number: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    sealed: bytes = _bytes()


class HandedRecordsTable(Base, table=True):
    """Records that were handed in with an answer; with its row what opens them is gone."""

    __tablename__ = "privacy_handed_records"
    __table_args__: ClassVar[Any] = (Index("uq_privacy_handed_records_upload_id", "upload_id", unique=True),)

    task_id: str = _key()
    request_id: str = Field(sa_column=Column(Text, nullable=False, index=True))
    upload_id: str = _text()
    sealed_key: bytes = _bytes()
    handed_at: datetime = _time()


class HandedPieceTable(Base, table=True):
    """The lines of what was handed in, encrypted piece by piece; those of an upload that no row names are of no use."""

    __tablename__ = "privacy_handed_pieces"

    upload_id: str = _key()
    number: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    sealed: bytes = _bytes()
    written_at: datetime = _time()


class CertificateTable(Base, table=True):
    """Erasure certificates, exactly as they were signed."""

    __tablename__ = "privacy_certificates"

    request_id: str = _key()
    certificate_id: str = _text()
    document: bytes = _bytes()
    signature: bytes = _bytes()
    kid: str = _text()
    pdf: bytes = _bytes()
    issued_at: datetime = _time()


class LetterTable(Base, table=True):
    """What officers wrote into letters, and letters as they were sent."""

    __tablename__ = "privacy_letters"

    request_id: str = _key()
    kind: str = _key()
    marked: dict[str, str] = Field(sa_column=Column(JSONB, nullable=False))
    sent: bytes | None = _bytes(nullable=True)
