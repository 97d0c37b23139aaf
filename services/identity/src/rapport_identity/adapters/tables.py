"""Tables of the identity service. Hot paths use SQL on them; the declarations keep schema and code equal."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from rapport_chassis.database.tables import chassis_tables, service_base
from rapport_privacy.participant.tables import participant_tables
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
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


def _time(*, nullable: bool = False, **options: Any) -> Any:
    return Column(DateTime(timezone=True), nullable=nullable, **options)


def _text(**options: Any) -> Any:
    return Column(Text, **{"nullable": False, **options})


def _bytes(*, nullable: bool = False, **options: Any) -> Any:
    return Column(LargeBinary, nullable=nullable, **options)


def _number(**options: Any) -> Any:
    return Column(BigInteger, **{"nullable": False, **options})


class PartitionHeadTable(Base, table=True):
    """The one row every write of the partition locks: positions are gap-free and in commit order."""

    __tablename__ = "partition_head"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("singleton", name="singleton"),
        CheckConstraint("cardinality(hash_versions) > 0", name="hash_versions"),
    )

    singleton: bool = Field(sa_column=Column(Boolean, primary_key=True, server_default=text("true")))
    epoch: str = Field(sa_column=_text())
    timeline: str = Field(sa_column=_text())
    position: int = Field(sa_column=_number())
    recorded_at: datetime = Field(sa_column=_time())
    hash_versions: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False, server_default=text("'{1}'")))
    """Versions of the hash keys under which rows may be hashed; new rows are hashed under the first."""
    hashed_since: datetime = Field(sa_column=_time(server_default=text("now()")))
    """Since when these versions are in use."""
    matcher_id: str = Field(sa_column=_text(server_default=""))
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

    record_no: int = Field(sa_column=_number(primary_key=True, autoincrement=False))
    record_id: str = Field(sa_column=_text())
    source: str = Field(sa_column=_text())
    source_key: bytes | None = Field(sa_column=_bytes(nullable=True))
    """Keyed hash of what the source calls it, which may say who the person is."""
    profile_id: str = Field(sa_column=_text())
    recorded_under: str = Field(sa_column=_text())
    """The id that its profile had when it was first recorded: consent given under it covers its contact points."""
    version: int = Field(sa_column=Column(Integer, nullable=False))
    key_id: bytes | None = Field(sa_column=_bytes(nullable=True))
    hash_version: int = Field(sa_column=Column(Integer, nullable=False))
    """Under which hash key its source key, digest and identifiers are hashed."""
    value: bytes | None = Field(sa_column=_bytes(nullable=True))
    digest: bytes | None = Field(sa_column=_bytes(nullable=True))
    """Keyed hash of the payload: one that is sent again is answered, not written."""
    occurred_at: datetime | None = Field(sa_column=_time(nullable=True))
    position: int = Field(sa_column=_number())
    """Position of the write that made this version; moves say when it changed its profile."""
    recorded_at: datetime = Field(sa_column=_time())
    erased: bool = Field(sa_column=Column(Boolean, nullable=False, server_default=text("false")))


class IdentifierTable(Base, table=True):
    """By what records are found: keyed hashes of identifiers and blocking keys."""

    __tablename__ = "identifiers"

    kind: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    hash: bytes = Field(sa_column=_bytes(primary_key=True))
    record_no: int = Field(sa_column=_number(primary_key=True, autoincrement=False, index=True))


class ProfileTable(Base, table=True):
    """Profiles, those merged and erased too: a version never falls, and an erased id is known for ever."""

    __tablename__ = "profiles"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("status IN ('active', 'frozen', 'merged', 'erased')", name="status"),
        Index(None, "position"),
    )

    profile_id: str = Field(sa_column=_text(primary_key=True))
    version: int = Field(sa_column=_number())
    status: str = Field(sa_column=_text())
    state: bytes = Field(sa_column=_bytes())
    position: int = Field(sa_column=_number())
    created_at: datetime = Field(sa_column=_time())
    updated_at: datetime = Field(sa_column=_time())


class RedirectTable(Base, table=True):
    """Every id ever issued, and what stands for it now: one hop, for ever."""

    __tablename__ = "redirects"
    __table_args__: ClassVar[Any] = (Index(None, "profile_id", postgresql_where="profile_id <> issued_id"),)

    issued_id: str = Field(sa_column=_text(primary_key=True))
    profile_id: str = Field(sa_column=_text())


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

    position: int = Field(sa_column=_number(primary_key=True, autoincrement=False))
    ordinal: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    recorded_at: datetime = Field(sa_column=_time())
    kind: str = Field(sa_column=_text())
    record_no: int | None = Field(sa_column=Column(BigInteger))
    from_profile: str = Field(sa_column=_text())
    to_profile: str = Field(sa_column=_text())
    matcher: str = Field(sa_column=_text())
    cause: str = Field(sa_column=_text())


class ConstraintTable(Base, table=True):
    """What stewards decided, in force until it is withdrawn."""

    __tablename__ = "constraints"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("kind IN ('must_match', 'never_match')", name="kind"),
        CheckConstraint("(withdrawn_at IS NULL) = (withdrawn_by = '')", name="withdrawal"),
        Index(None, "position"),
    )

    constraint_id: str = Field(sa_column=_text(primary_key=True))
    kind: str = Field(sa_column=_text())
    created_at: datetime = Field(sa_column=_time())
    created_by: str = Field(sa_column=_text())
    reason: str = Field(sa_column=_text())
    review_id: str = Field(sa_column=_text(server_default=""))
    withdrawn_at: datetime | None = Field(sa_column=_time(nullable=True))
    withdrawn_by: str = Field(sa_column=_text(server_default=""))
    position: int = Field(sa_column=_number())
    """Position of the write that made or withdrew it."""


class ConstrainedRecordTable(Base, table=True):
    """The records that a constraint binds."""

    __tablename__ = "constrained_records"

    constraint_id: str = Field(sa_column=Column(Text, ForeignKey("constraints.constraint_id"), primary_key=True))
    group_no: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    record_no: int = Field(sa_column=_number(primary_key=True, autoincrement=False, index=True))


class FactTable(Base, table=True):
    """Touchpoints, stripped of all that identifies, so that a split can issue them again."""

    __tablename__ = "facts"

    fact_id: str = Field(sa_column=_text(primary_key=True))
    record_no: int = Field(sa_column=_number(index=True))
    profile_id: str = Field(sa_column=_text())
    owner_version: int = Field(sa_column=_number())
    type: str = Field(sa_column=_text())
    payload: bytes = Field(sa_column=_bytes())
    occurred_at: datetime = Field(sa_column=_time())
    position: int = Field(sa_column=_number())
    recorded_at: datetime = Field(sa_column=_time(server_default=text("now()"), index=True))
    permits: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'[]'::jsonb")))
    """The gate's answer for each purpose that it may serve: what its being here rests on."""


class UndecidedPurposeTable(Base, table=True):
    """Purposes of facts that the gate could not say anything of yet."""

    __tablename__ = "undecided_purposes"

    fact_id: str = Field(sa_column=Column(Text, ForeignKey("facts.fact_id", ondelete="CASCADE"), primary_key=True))
    purpose_id: str = Field(sa_column=_text(primary_key=True))


class SourceEventTable(Base, table=True):
    """Events of sources that were taken in, so that one that is sent again is answered and not repeated."""

    __tablename__ = "source_events"
    __table_args__: ClassVar[Any] = (Index(None, "fact_id", postgresql_where="fact_id IS NOT NULL"),)

    source: str = Field(sa_column=_text(primary_key=True))
    event_hash: bytes = Field(sa_column=_bytes(primary_key=True))
    hash_version: int = Field(sa_column=Column(Integer, nullable=False))
    fact_id: str | None = Field(sa_column=Column(Text))
    answer: bytes = Field(sa_column=_bytes())
    recorded_at: datetime = Field(sa_column=_time(index=True))


class MatcherTable(Base, table=True):
    """Matchers. One never changes: another one is made, and an earlier one activated again."""

    __tablename__ = "matchers"
    __table_args__: ClassVar[Any] = (CheckConstraint("origin IN ('default', 'trained', 'imported')", name="origin"),)

    matcher_id: str = Field(sa_column=_text(primary_key=True))
    origin: str = Field(sa_column=_text())
    sha256: bytes = Field(sa_column=_bytes())
    body: bytes = Field(sa_column=_bytes())
    """Weights and frequencies as JSON, values under a keyed hash."""
    key_id: bytes = Field(sa_column=_bytes(index=True))
    """The key of that hash, in the key store."""
    trained_on: int = Field(sa_column=_number())
    created_at: datetime = Field(sa_column=_time(index=True))


class MatcherActivationTable(Base, table=True):
    """Which matcher decided from which position on; the last is in force. An earlier matcher comes as another row."""

    __tablename__ = "matcher_activations"

    position: int = Field(sa_column=_number(primary_key=True, autoincrement=False))
    matcher_id: str = Field(sa_column=Column(Text, ForeignKey("matchers.matcher_id"), nullable=False, index=True))
    activated_at: datetime = Field(sa_column=_time())
    activated_by: str = Field(sa_column=_text())
    reason: str = Field(sa_column=_text())
    last_record: int = Field(sa_column=_number())
    """The highest number that a record had then; those that came since were joined by it at once."""
    joined_to: int = Field(sa_column=_number(server_default="0"))
    """Records up to this number are joined by it."""


class MatcherPreviewTable(Base, table=True):
    """How many records each matcher would move, as it was last computed."""

    __tablename__ = "matcher_previews"

    matcher_id: str = Field(sa_column=Column(Text, ForeignKey("matchers.matcher_id"), primary_key=True))
    against_matcher_id: str = Field(sa_column=_text(primary_key=True))
    records_moved: int = Field(sa_column=_number())
    as_of: datetime = Field(sa_column=_time())


class ReviewTable(Base, table=True):
    """Questions to stewards, and what they answered."""

    __tablename__ = "reviews"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("first_no < second_no", name="pair"),
        CheckConstraint("verdict IN ('', 'same', 'different', 'undecided')", name="verdict"),
        CheckConstraint("(verdict = '') = (decided_at IS NULL)", name="decided"),
        Index("uq_reviews_open", "first_no", "second_no", unique=True, postgresql_where="verdict = ''"),
        Index("ix_reviews_gain", "gain", "review_id", postgresql_where="verdict = ''"),
        Index("ix_reviews_decided_at", "decided_at", "review_id", postgresql_where="verdict <> ''"),
    )

    review_id: str = Field(sa_column=_text(primary_key=True))
    cause: str = Field(sa_column=_text())
    first_no: int = Field(sa_column=_number(index=True))
    second_no: int = Field(sa_column=_number(index=True))
    gain: float = Field(sa_column=Column(Double, nullable=False))
    """How much an answer is expected to teach, in bits."""
    evidence: bytes = Field(sa_column=_bytes())
    """Digest of what it rests on: one that could not be told is not asked again while this is the same."""
    created_at: datetime = Field(sa_column=_time())
    verdict: str = Field(sa_column=_text(server_default=""))
    decided_by: str = Field(sa_column=_text(server_default=""))
    decided_at: datetime | None = Field(sa_column=_time(nullable=True))
    reason: str = Field(sa_column=_text(server_default=""))


class ReviewProgressTable(Base, table=True):
    """The one row that says up to which position close calls were looked for, and as which matcher sees them."""

    __tablename__ = "review_progress"
    __table_args__: ClassVar[Any] = (CheckConstraint("singleton", name="singleton"),)

    singleton: bool = Field(sa_column=Column(Boolean, primary_key=True, server_default=text("true")))
    position: int = Field(sa_column=_number(server_default="0"))
    matcher_id: str = Field(sa_column=_text(server_default=""))


class AnniversaryTable(Base, table=True):
    """The last round that each record was told of in. Only its year: the table says nobody's date."""

    __tablename__ = "anniversaries"

    record_no: int = Field(sa_column=_number(primary_key=True, autoincrement=False))
    kind: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    round: int = Field(sa_column=Column(SmallInteger, nullable=False))


class AnniversaryProgressTable(Base, table=True):
    """The one row that says up to when somebody has looked whose day has come."""

    __tablename__ = "anniversary_progress"
    __table_args__: ClassVar[Any] = (CheckConstraint("singleton", name="singleton"),)

    singleton: bool = Field(sa_column=Column(Boolean, primary_key=True, server_default=text("true")))
    looked_until: datetime = Field(sa_column=_time(server_default=text("now()")))


class ParkedRecordTable(Base, table=True):
    """Records that a frozen profile kept out, or that are linked again now that it is released."""

    __tablename__ = "parked_records"

    record_no: int = Field(sa_column=_number(primary_key=True, autoincrement=False))
    profile_id: str = Field(sa_column=_text(index=True))


class SuppressionTable(Base, table=True):
    """What must not come back of erased people: keyed hashes, under a key of their own."""

    __tablename__ = "suppressions"
    __table_args__: ClassVar[Any] = (CheckConstraint("kind IN ('record', 'identifier')", name="kind"),)

    kind: str = Field(sa_column=_text(primary_key=True))
    hash: bytes = Field(sa_column=_bytes(primary_key=True))
    content: bytes = Field(sa_column=_bytes())
    """Keyed hash of what the record said, its time apart; empty for an identifier."""
    erased_at: datetime = Field(sa_column=_time(index=True))


class DoomedKeyTable(Base, table=True):
    """Keys of erased records, until the key store has destroyed them."""

    __tablename__ = "doomed_keys"

    key_id: bytes = Field(sa_column=_bytes(primary_key=True))
    request_id: str = Field(sa_column=_text(index=True))
