"""Tables of the key store, a database of its own: no backup of identity holds a key."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from rapport_chassis.database.columns import binary, moment, words
from rapport_chassis.database.tables import service_base
from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, text
from sqlmodel import Field, SQLModel

if TYPE_CHECKING:
    Base = SQLModel
else:
    Base = service_base("identity_keys")


class EpochTable(Base, table=True):
    """Epoch keys in use, by number. A wrapped key refers to its epoch, so that none outlives the key it needs."""

    __tablename__ = "epochs"

    epoch: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    begun_at: datetime = Field(sa_column=moment(server_default=text("now()")))


class RecordKeyTable(Base, table=True):
    """Data keys of records, wrapped under an epoch key that is in no database."""

    __tablename__ = "record_keys"
    __table_args__: ClassVar[Any] = (
        CheckConstraint("octet_length(key_id) = 16", name="key_id"),
        CheckConstraint("octet_length(wrapped) = 40", name="wrapped"),
        Index(None, "epoch"),
        Index(None, "created_at"),
    )

    key_id: bytes = Field(sa_column=binary(primary_key=True))
    wrapped: bytes = Field(sa_column=binary())
    epoch: int = Field(sa_column=Column(Integer, ForeignKey("epochs.epoch"), nullable=False))
    created_at: datetime = Field(sa_column=moment(server_default=text("now()")))


class DestructionTable(Base, table=True):
    """Keys destroyed for privacy requests: how many, which, and a signature over that."""

    __tablename__ = "destructions"

    request_id: str = Field(sa_column=words(primary_key=True))
    destroyed_at: datetime = Field(sa_column=moment())
    keys: int = Field(sa_column=Column(Integer, nullable=False))
    digest: bytes = Field(sa_column=binary(primary_key=True))
    """SHA-256 over the ids of the keys, in order."""
    kid: str = Field(sa_column=words())
    signature: bytes = Field(sa_column=binary())
