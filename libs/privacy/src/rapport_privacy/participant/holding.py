"""What a service holds of people, as privacy requests see it: the port that each service implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from rapport_chassis.database.pool import Connection


class TaskKind(IntEnum):
    """What a task asks. Numbers are those of rapport.common.v1.PrivacyTaskKind."""

    FREEZE = 1
    ACCESS = 2
    ERASE = 3
    RECTIFY = 4
    RELEASE = 5
    PROBE = 6
    HOLD = 7
    UNHOLD = 8


class Origin(IntEnum):
    """How a service came to have data. Numbers are those of rapport.common.v1.DataOrigin."""

    PROVIDED = 1
    OBSERVED = 2
    INFERRED = 3


@dataclass(frozen=True, slots=True)
class Store:
    """A kind of record that a service keeps about people: an entry of the record of processing activities.

    Attributes:
        name: Its name, unique in the service.
        category: Category of the data, for example "user.contact".
        origin: How the service came to have it; what is inferred is not portable.
        purposes: What it is processed for: purposes of the registry, or coded legal duties.
        recipients: Who receives it, by name.
        kept_for: For how long it is kept; None as long as the person is a customer.
        source: Where it came from, as a code.
    """

    name: str
    category: str
    origin: Origin
    purposes: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    kept_for: timedelta | None = None
    source: str = "CUSTOMER"


@dataclass(frozen=True, slots=True)
class Held:
    """What legal holds keep in one store of one subject.

    Attributes:
        everything: Whether all of the subject in this store is kept.
        record_ids: What is kept else.
        ground: Why, as a code; empty where nothing is kept.
        until: When the last of them ends; None while no end is known.
    """

    everything: bool = False
    record_ids: tuple[str, ...] = ()
    ground: str = ""
    until: datetime | None = None


NOT_HELD = Held()
"""Nothing is kept."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a request is about.

    Attributes:
        request_id: The privacy request.
        profile_ids: Every id of the closure, frozen with the request.
        holds: Store -> what legal holds keep in it, read in this very transaction; "" stands for every store.
    """

    request_id: str
    profile_ids: tuple[str, ...]
    holds: Mapping[str, Held] | None = None

    @property
    def ids(self) -> list[str]:
        """The ids as a parameter of a statement."""
        return list(self.profile_ids)

    def held_in(self, store: str) -> Held:
        """Return what legal holds keep in a store: an erasure leaves it, and tells of it as `Kept`."""
        holds = self.holds or {}
        return holds.get("") or holds.get(store) or NOT_HELD


@dataclass(frozen=True, slots=True)
class StoreCount:
    """What was done in one store.

    Attributes:
        store: Its name, as the service declares it.
        found: Rows of the subject in it.
        acted: Rows acted upon.
    """

    store: str
    found: int
    acted: int = 0


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows that were kept.

    Attributes:
        store: Where.
        count: How many.
        ground: Why, as a code, for example "LEGAL_CLAIM".
        until: When the ground ends; None while no end is known.
    """

    store: str
    count: int
    ground: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What was done about a subject, store by store.

    Attributes:
        stores: What was found, and acted upon.
        kept: What was kept.
        closure_ids: Every id that stands for the person or ever did; identity alone knows.
    """

    stores: tuple[StoreCount, ...] = ()
    kept: tuple[Kept, ...] = ()
    closure_ids: tuple[str, ...] = ()

    @property
    def nothing_held(self) -> bool:
        """Whether there was nothing of the subject."""
        return not self.kept and not self.closure_ids and all(store.found == 0 for store in self.stores)


@dataclass(frozen=True, slots=True)
class Exported:
    """A record about the subject, as it is handed out.

    Attributes:
        store: The store it is in, one of those declared.
        record_id: Its identity there; legal holds name it.
        content: What it says, ready for JSON: strings, whole numbers, booleans, None, lists and mappings of them.
        recorded_at: When it was taken down.
        redacted: Keys of the content whose values were left out because they are about other people.
    """

    store: str
    record_id: str
    content: Mapping[str, Any]
    recorded_at: datetime | None = None
    redacted: tuple[str, ...] = ()


class Holding(ABC):
    """What one service holds. Each method joins the caller's transaction, may be called again, and finds what is there.

    While one of them acts for a subject, nobody who writes through `living.writable` writes about it.
    """

    @property
    @abstractmethod
    def stores(self) -> tuple[Store, ...]:
        """What the service keeps about people."""

    @abstractmethod
    def export(self, connection: Connection, subject: Subject) -> AsyncIterator[Exported]:
        """Yield all that is held, record by record, whatever its size: read it with `export.rows`."""

    @abstractmethod
    async def count(self, connection: Connection, subject: Subject) -> Answer:
        """Say what is held, derived data and what is not exported included; after an erasure: what is left."""

    @abstractmethod
    async def erase(self, connection: Connection, subject: Subject) -> Answer:
        """Delete all that no exception and no hold (`subject.held_in`) keeps, whatever is derived from it included."""

    async def expire(self, connection: Connection, store: Store, before: datetime, limit: int) -> int:
        """Delete some of what a store took down before a time, and return how much; for stores with `kept_for`.

        Leave out who is frozen or held: `living.STILL` is the condition for that in a statement.

        Args:
            connection: In a transaction of its own.
            store: The store.
            before: What is older goes.
            limit: Most records to delete at once.
        """
        return 0

    async def purge(self, subject: Subject) -> None:  # noqa: B027 - most keep nothing there
        """Destroy what lies outside of the database (keys, files): an erasure is committed, and answered after this.

        Called again after a kill: what is to be destroyed is noted in the transaction of the erasure.
        """

    async def freeze(self, connection: Connection, subject: Subject) -> Answer:
        """Hold everything of the subject still. The ids are noted as frozen anyway: `living.frozen`."""
        return await self.count(connection, subject)

    async def release(self, connection: Connection, subject: Subject) -> Answer:
        """Release what a freeze held."""
        return await self.count(connection, subject)

    async def rectify(self, connection: Connection, subject: Subject) -> Answer:
        """Bring what is derived in line with what was corrected; what people say of themselves, identity alone has."""
        return Answer()
