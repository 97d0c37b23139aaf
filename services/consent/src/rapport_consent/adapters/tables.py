"""Tables of the consent service. Hot paths use SQL on them; the declarations keep schema and code equal."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from rapport_chassis.database.columns import binary, moment, number, small, words
from rapport_chassis.database.tables import chassis_tables, service_base
from rapport_privacy.participant.tables import participant_tables
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Identity,
    Index,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

if TYPE_CHECKING:
    Base = SQLModel
else:
    Base = service_base("consent")
chassis_tables(Base)
participant_tables(Base)

ROW_KINDS = (
    "grant",
    "refuse",
    "withdraw",
    "object",
    "opt_out",
    "restrict",
    "lift",
    "merge",
    "split",
    "fence",
    "purpose",
    "blank",
)


class LedgerRowTable(Base, table=True):
    """One row a ledger write, append-only: the run-time role may insert and read, nothing else."""

    __tablename__ = "ledger"
    __table_args__: ClassVar[Any] = (
        CheckConstraint(f"kind IN {ROW_KINDS}", name="kind"),
        Index(None, "named_id", "position"),
        Index(None, "recorded_at"),
        Index("uq_ledger_receipt_id", "receipt_id", unique=True, postgresql_where="receipt_id IS NOT NULL"),
    )

    position: int = Field(sa_column=number(primary_key=True, autoincrement=False))
    epoch: str = Field(sa_column=words())
    recorded_at: datetime = Field(sa_column=moment())
    reference: str = Field(sa_column=words())
    receipt_id: str | None = Field(sa_column=words(nullable=True))
    named_id: str = Field(sa_column=words())
    kind: str = Field(sa_column=words())
    purpose_id: str = Field(sa_column=words(server_default=""))
    brand_id: str = Field(sa_column=words(server_default=""))
    occurred_at: datetime | None = Field(sa_column=moment(nullable=True))
    expires_at: datetime | None = Field(sa_column=moment(nullable=True))
    reask_not_before: datetime | None = Field(sa_column=moment(nullable=True))
    details: dict[str, Any] | None = Field(sa_column=Column(JSONB))
    change: bytes | None = Field(sa_column=binary(nullable=True))
    """The LedgerChange as published; null once blanked."""


class LedgerHeadTable(Base, table=True):
    """The one row every ledger write locks: positions are gap-free and in commit order."""

    __tablename__ = "ledger_head"
    __table_args__: ClassVar[Any] = (CheckConstraint("singleton", name="singleton"),)

    singleton: bool = Field(sa_column=Column(Boolean, primary_key=True, server_default=text("true")))
    epoch: str = Field(sa_column=words())
    timeline: str = Field(sa_column=words())
    position: int = Field(sa_column=number())
    recorded_at: datetime = Field(sa_column=moment())
    purposes_at: int = Field(sa_column=number(server_default="0"))
    """Position of the last row about a purpose: tells a cached catalogue whether it is current."""
    restoring: bool = Field(sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    """True from a restore until what the stream tells is taken in: nothing is answered, and nobody else writes."""
    doubted_until: datetime | None = Field(sa_column=moment(nullable=True))
    """Grants up to this time are withheld from gates: a withdrawal of them may have been lost."""


class LedgerRestoreTable(Base, table=True):
    """A restore of this database: written by the trigger of `privacy_restores`."""

    __tablename__ = "ledger_restores"
    __table_args__: ClassVar[Any] = (CheckConstraint("decision IN ('count', 'ask_again')", name="decision"),)

    restored_at: datetime = Field(sa_column=moment(primary_key=True))
    epoch: str = Field(sa_column=words())
    """The epoch of the backup."""
    position: int = Field(sa_column=number())
    """The head in the backup."""
    sequence: int = Field(sa_column=number())
    """Up to here the backup knew the stream."""
    replayed_at: datetime | None = Field(sa_column=moment(nullable=True))
    recorded: int = Field(sa_column=number(server_default="0"))
    """Rows that the stream told of."""
    doubted_until: datetime | None = Field(sa_column=moment(nullable=True))
    """Set where the stream does not reach back to the backup: from when on it tells everything."""
    decision: str | None = Field(sa_column=words(nullable=True))
    """What an officer decided about grants from before."""
    decided_at: datetime | None = Field(sa_column=moment(nullable=True))
    decided_by: str | None = Field(sa_column=words(nullable=True))


class RestoredErasureTable(Base, table=True):
    """Ids that were known to be erased when the ledger was restored, until it has fenced them."""

    __tablename__ = "restored_erasures"

    profile_id: str = Field(sa_column=words(primary_key=True))


class ProfileTable(Base, table=True):
    """Where each id that was ever merged or split stands now. An id without a row stands for itself."""

    __tablename__ = "profiles"

    profile_id: str = Field(sa_column=words(primary_key=True))
    current_id: str = Field(sa_column=words())
    family: str = Field(sa_column=words(index=True))
    """Names all ids that were ever together; their rows are read together."""


class SubjectStateTable(Base, table=True):
    """The whole present SubjectState of each profile: what a snapshot streams."""

    __tablename__ = "subject_states"

    profile_id: str = Field(sa_column=words(primary_key=True))
    state: bytes = Field(sa_column=binary())


class FenceTable(Base, table=True):
    """Fenced ids. Kept for ever."""

    __tablename__ = "fences"
    __table_args__: ClassVar[Any] = (CheckConstraint("kind IN ('erased')", name="kind"),)

    profile_id: str = Field(sa_column=words(primary_key=True))
    kind: str = Field(sa_column=words())
    position: int = Field(sa_column=number())
    privacy_request_id: str = Field(sa_column=words())


class ImportedRowTable(Base, table=True):
    """Rows imported before, so that a repeated import is answered and not repeated.

    The key is a digest: what a source calls its rows may be somebody's address.
    """

    __tablename__ = "imported_rows"

    row_key: bytes = Field(sa_column=binary(primary_key=True))
    reference: str = Field(sa_column=words(index=True))


class TransparencyLeafTable(Base, table=True):
    """A leaf of the transparency log. Written once."""

    __tablename__ = "transparency_leaves"

    index: int = Field(sa_column=number(primary_key=True, autoincrement=False))
    leaf: bytes = Field(sa_column=binary())


class TransparencyNodeTable(Base, table=True):
    """The hash of a complete subtree of the transparency log, of 2 to the power of `level` leaves. Written once."""

    __tablename__ = "transparency_nodes"

    level: int = Field(sa_column=small(primary_key=True, autoincrement=False))
    index: int = Field(sa_column=number(primary_key=True, autoincrement=False))
    hash: bytes = Field(sa_column=binary())


class TransparencyHeadTable(Base, table=True):
    """The one row that whoever adds to the transparency log locks."""

    __tablename__ = "transparency_head"
    __table_args__: ClassVar[Any] = (CheckConstraint("singleton", name="singleton"),)

    singleton: bool = Field(sa_column=Column(Boolean, primary_key=True, server_default=text("true")))
    size: int = Field(sa_column=number())
    root: bytes = Field(sa_column=binary())
    ledger_position: int = Field(sa_column=number())
    """Rows of the ledger up to here are in the log."""


class TransparencyQueueTable(Base, table=True):
    """What is to be logged beside the ledger: written by the transaction it is about, taken out when it is logged."""

    __tablename__ = "transparency_queue"

    seq: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    reference: str = Field(sa_column=words())
    commitment: bytes = Field(sa_column=binary())


class TransparencyOpeningTable(Base, table=True):
    """What opens a leaf's commitment. Destroyed by an erasure, and when a request is closed."""

    __tablename__ = "transparency_openings"

    reference: str = Field(sa_column=words(primary_key=True))
    request_id: str | None = Field(sa_column=words(nullable=True, index=True))
    leaf_index: int | None = Field(sa_column=number(nullable=True))
    """Null until it is logged."""
    salt: bytes = Field(sa_column=binary())
    record: bytes | None = Field(sa_column=binary(nullable=True))
    """What is committed to; null for a row of the ledger, which is kept there."""
    ledger_position: int | None = Field(sa_column=number(nullable=True))
    """Where that row is."""


class TransparencyCosignatureTable(Base, table=True):
    """What witnesses have signed: the tree of a size, each witness once."""

    __tablename__ = "transparency_cosignatures"

    size: int = Field(sa_column=number(primary_key=True, autoincrement=False))
    witness: str = Field(sa_column=words(primary_key=True))
    line: str = Field(sa_column=words())
    """The signature line, as it stands under a checkpoint."""
