"""What a service holds of a person, as privacy requests see it: the port that each service implements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Protocol

from rapport_chassis.database.pool import Connection


class TaskKind(IntEnum):
    """What a task asks. Numbers are those of rapport.common.v1.PrivacyTaskKind."""

    FREEZE = 1
    ACCESS = 2
    ERASE = 3
    RECTIFY = 4
    RELEASE = 5
    PROBE = 6


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a request is about.

    Attributes:
        request_id: The privacy request.
        profile_ids: Every id of the closure, frozen with the request.
    """

    request_id: str
    profile_ids: tuple[str, ...]


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
    """What was done about a subject, store by store."""

    stores: tuple[StoreCount, ...] = ()
    kept: tuple[Kept, ...] = ()

    @property
    def nothing_held(self) -> bool:
        """Whether there was nothing of the subject."""
        return not self.kept and all(store.found == 0 for store in self.stores)


class Holding(Protocol):
    """What one service holds. Each method joins the caller's transaction, may be called again, and finds what is there.

    Whoever writes in the service must not write about a subject that is frozen, or has a tombstone.
    """

    async def freeze(self, connection: Connection, subject: Subject) -> Answer:
        """Hold everything of the subject still: nothing is purged, merged or changed."""
        ...

    async def release(self, connection: Connection, subject: Subject) -> Answer:
        """Release what a freeze held."""
        ...

    async def count(self, connection: Connection, subject: Subject) -> Answer:
        """Say what is held, and what of it no erasure deletes."""
        ...

    async def erase(self, connection: Connection, subject: Subject) -> Answer:
        """Delete all that no exception keeps, whatever is derived from it included."""
        ...
