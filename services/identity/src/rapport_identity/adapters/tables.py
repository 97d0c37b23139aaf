"""Tables of the partition. Hot paths use SQL on them; the declarations keep schema and code equal."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from rapport_chassis.database.columns import binary, moment, number, words
from rapport_chassis.database.tables import chassis_tables, service_base
from rapport_privacy.participant.tables import participant_tables
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Sequence,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

if TYPE_CHECKING:
    Base = SQLModel
else:
    Base = service_base("identity")
chassis_tables(Base)
participant_tables(Base)
Sequence("record_numbers", metadata=Base.metadata)


class PartitionHeadTable(Base, table=True):
    """The one row every write of the partition locks: positions are gap-free and in commit order."""

    __tablename__ = "partition_head"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("singleton", name="singleton"),
        CheckConstraint("cardinality(hash_versions) > 0", name="hash_versions"),
    )

    singleton: bool = Field(sa_column=Column(Boolean, primary_key=True, server_default=text("true")))
    epoch: str = Field(sa_column=words())
    timeline: str = Field(sa_column=words())
    position: int = Field(sa_column=number())
    recorded_at: datetime = Field(sa_column=moment())
    hash_versions: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False, server_default=text("'{1}'")))
    """Versions of the hash keys under which rows may be hashed; new rows are hashed under the first."""
    hashed_since: datetime = Field(sa_column=moment(server_default=text("now()")))
    """Since when these versions are in use."""
    matcher_id: str = Field(sa_column=words(server_default=""))
    """The matcher that decides from this position on; empty while none was ever stored: the one that ships."""


class RecordTable(Base, table=True):
    """Records of sources, their values encrypted. One that is erased keeps its number, and nothing it said."""

    __tablename__ = "records"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("erased", name="erased"),
        Index("uq_records_source_key", "source", "source_key", unique=True),
        Index("uq_records_key_id", "key_id", unique=True),
        Index(None, "profile_id"),
        Index(None, "position"),
    )

    record_no: int = Field(sa_column=number(primary_key=True, autoincrement=False))
    record_id: str = Field(sa_column=words())
    source: str = Field(sa_column=words())
    source_key: bytes | None = Field(sa_column=binary(nullable=True))
    """Keyed hash of what the source calls it, which may say who the person is."""
    profile_id: str = Field(sa_column=words())
    recorded_under: str = Field(sa_column=words())
    """The id that its profile had when it was first recorded: consent given under it covers its contact points."""
    version: int = Field(sa_column=Column(Integer, nullable=False))
    key_id: bytes | None = Field(sa_column=binary(nullable=True))
    hash_version: int = Field(sa_column=Column(Integer, nullable=False))
    """Under which hash key its source key, digest and identifiers are hashed."""
    value: bytes | None = Field(sa_column=binary(nullable=True))
    digest: bytes | None = Field(sa_column=binary(nullable=True))
    """Keyed hash of the payload: one that is sent again is answered, not written."""
    occurred_at: datetime | None = Field(sa_column=moment(nullable=True))
    position: int = Field(sa_column=number())
    """Position of the write that made this version; moves say when it changed its profile."""
    recorded_at: datetime = Field(sa_column=moment())
    erased: bool = Field(sa_column=Column(Boolean, nullable=False, server_default=text("false")))


class IdentifierTable(Base, table=True):
    """By what records are found: keyed hashes of identifiers and blocking keys."""

    __tablename__ = "identifiers"

    kind: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    hash: bytes = Field(sa_column=binary(primary_key=True))
    record_no: int = Field(sa_column=number(primary_key=True, autoincrement=False, index=True))


class ProfileTable(Base, table=True):
    """Profiles, those merged and erased too: a version never falls, and an erased id is known for ever."""

    __tablename__ = "profiles"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("status IN ('active', 'frozen', 'merged', 'erased')", name="status"),
        Index(None, "position"),
    )

    profile_id: str = Field(sa_column=words(primary_key=True))
    version: int = Field(sa_column=number())
    status: str = Field(sa_column=words())
    state: bytes = Field(sa_column=binary())
    position: int = Field(sa_column=number())
    created_at: datetime = Field(sa_column=moment())
    updated_at: datetime = Field(sa_column=moment())


class RedirectTable(Base, table=True):
    """Every id ever issued, and what stands for it now: one hop, for ever."""

    __tablename__ = "redirects"
    __table_args__: ClassVar[Any] = (Index(None, "profile_id", postgresql_where="profile_id <> issued_id"),)

    issued_id: str = Field(sa_column=words(primary_key=True))
    profile_id: str = Field(sa_column=words())


class MoveTable(Base, table=True):
    """The history of the partition, append-only: who was who, at any time."""

    __tablename__ = "moves"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("kind IN ('record', 'redirect')", name="kind"),
        CheckConstraint("(kind = 'record') = (record_no IS NOT NULL)", name="record_no"),
        Index("ix_moves_record_no", "record_no", "position", postgresql_where="record_no IS NOT NULL"),
        Index("ix_moves_entered", "to_profile", "position", postgresql_where="kind = 'record'"),
        Index("ix_moves_redirected", "from_profile", "position", postgresql_where="kind = 'redirect'"),
        Index("ix_moves_turned", "to_profile", postgresql_where="kind = 'redirect' AND from_profile <> to_profile"),
    )

    position: int = Field(sa_column=number(primary_key=True, autoincrement=False))
    ordinal: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    recorded_at: datetime = Field(sa_column=moment())
    kind: str = Field(sa_column=words())
    record_no: int | None = Field(sa_column=Column(BigInteger))
    from_profile: str = Field(sa_column=words())
    to_profile: str = Field(sa_column=words())
    matcher: str = Field(sa_column=words())
    cause: str = Field(sa_column=words())


class ConstraintTable(Base, table=True):
    """What stewards decided, in force until it is withdrawn."""

    __tablename__ = "constraints"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("kind IN ('must_match', 'never_match')", name="kind"),
        CheckConstraint("(withdrawn_at IS NULL) = (withdrawn_by = '')", name="withdrawal"),
        Index(None, "position"),
    )

    constraint_id: str = Field(sa_column=words(primary_key=True))
    kind: str = Field(sa_column=words())
    created_at: datetime = Field(sa_column=moment())
    created_by: str = Field(sa_column=words())
    reason: str = Field(sa_column=words())
    review_id: str = Field(sa_column=words(server_default=""))
    withdrawn_at: datetime | None = Field(sa_column=moment(nullable=True))
    withdrawn_by: str = Field(sa_column=words(server_default=""))
    position: int = Field(sa_column=number())
    """Position of the write that made or withdrew it."""


class ConstrainedRecordTable(Base, table=True):
    """The records that a constraint binds."""

    __tablename__ = "constrained_records"

    constraint_id: str = Field(sa_column=Column(Text, ForeignKey("constraints.constraint_id"), primary_key=True))
    group_no: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    record_no: int = Field(sa_column=number(primary_key=True, autoincrement=False, index=True))


class FactTable(Base, table=True):
    """Touchpoints, stripped of all that identifies, so that a split can issue them again."""

    __tablename__ = "facts"

    fact_id: str = Field(sa_column=words(primary_key=True))
    record_no: int = Field(sa_column=number(index=True))
    profile_id: str = Field(sa_column=words())
    owner_version: int = Field(sa_column=number())
    type: str = Field(sa_column=words())
    payload: bytes = Field(sa_column=binary())
    occurred_at: datetime = Field(sa_column=moment())
    position: int = Field(sa_column=number())
    recorded_at: datetime = Field(sa_column=moment(server_default=text("now()"), index=True))
    permits: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'[]'::jsonb")))
    """The gate's answer for each purpose that it may serve: what its being here rests on."""


class UndecidedPurposeTable(Base, table=True):
    """Purposes of facts that the gate could not say anything of yet."""

    __tablename__ = "undecided_purposes"

    fact_id: str = Field(sa_column=Column(Text, ForeignKey("facts.fact_id", ondelete="CASCADE"), primary_key=True))
    purpose_id: str = Field(sa_column=words(primary_key=True))


class SourceEventTable(Base, table=True):
    """Events of sources that were taken in, so that one that is sent again is answered and not repeated."""

    __tablename__ = "source_events"
    __table_args__: ClassVar[Any] = (Index(None, "fact_id", postgresql_where="fact_id IS NOT NULL"),)

    source: str = Field(sa_column=words(primary_key=True))
    event_hash: bytes = Field(sa_column=binary(primary_key=True))
    hash_version: int = Field(sa_column=Column(Integer, nullable=False))
    fact_id: str | None = Field(sa_column=Column(Text))
    answer: bytes = Field(sa_column=binary())
    recorded_at: datetime = Field(sa_column=moment(index=True))


class AnniversaryTable(Base, table=True):
    """The last round that each record was told of in. Only its year: the table says nobody's date."""

    __tablename__ = "anniversaries"

    record_no: int = Field(sa_column=number(primary_key=True, autoincrement=False))
    kind: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    round: int = Field(sa_column=Column(SmallInteger, nullable=False))


class AnniversaryProgressTable(Base, table=True):
    """The one row that says up to when somebody has looked whose day has come."""

    __tablename__ = "anniversary_progress"
    __table_args__: ClassVar[Any] = (CheckConstraint("singleton", name="singleton"),)

    singleton: bool = Field(sa_column=Column(Boolean, primary_key=True, server_default=text("true")))
    looked_until: datetime = Field(sa_column=moment(server_default=text("now()")))


class ParkedRecordTable(Base, table=True):
    """Records that a frozen profile kept out, or that are linked again now that it is released."""

    __tablename__ = "parked_records"

    record_no: int = Field(sa_column=number(primary_key=True, autoincrement=False))
    profile_id: str = Field(sa_column=words(index=True))


class SuppressionTable(Base, table=True):
    """What must not come back of erased people: keyed hashes, under a key of their own."""

    __tablename__ = "suppressions"
    __table_args__: ClassVar[Any] = (CheckConstraint("kind IN ('record', 'identifier')", name="kind"),)

    kind: str = Field(sa_column=words(primary_key=True))
    hash: bytes = Field(sa_column=binary(primary_key=True))
    content: bytes = Field(sa_column=binary())
    """Keyed hash of what the record said, its time apart; empty for an identifier."""
    erased_at: datetime = Field(sa_column=moment(index=True))


class DoomedKeyTable(Base, table=True):
    """Keys of erased records, until the key store has destroyed them."""

    __tablename__ = "doomed_keys"

    key_id: bytes = Field(sa_column=binary(primary_key=True))
    request_id: str = Field(sa_column=words(index=True))
