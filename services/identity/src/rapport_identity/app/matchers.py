"""Matchers as they are kept: what they weigh, which decides, and how far it has taken over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from rapport_identity.app.ports import DataKey
from rapport_identity.app.units import Unit
from rapport_identity.domain.errors import ERRORS
from rapport_identity.domain.matcher import Matcher


class MatcherOrigin(StrEnum):
    """Where a matcher's weights come from."""

    DEFAULT = "default"
    """Shipped with the service."""
    TRAINED = "trained"
    """Trained here on the records held."""
    IMPORTED = "imported"
    """Imported from a model trained elsewhere."""


@dataclass(frozen=True, slots=True)
class Activation:
    """That a matcher was let decide.

    Attributes:
        position: From which position of the partition on.
        matcher_id: The matcher.
        activated_at: When.
        activated_by: Subject of the operator; empty where the service began with it.
        reason: Why, as a code.
        pending: Records that are not joined by it yet.
    """

    position: int
    matcher_id: str
    activated_at: datetime
    activated_by: str
    reason: str
    pending: int


@dataclass(frozen=True, slots=True)
class Version:
    """A matcher as it is kept.

    Attributes:
        matcher_id: Its id.
        origin: Where its weights come from.
        sha256: Digest over all that decides.
        matcher: The weights. Frequencies are found by value, but the values cannot be listed.
        trained_on: Records it was trained on; 0 if it was not trained here.
        created_at: When it was made.
        activation: When it was let decide last; None if it never was.
        deciding: Whether it decides now.
    """

    matcher_id: str
    origin: MatcherOrigin
    sha256: bytes
    matcher: Matcher
    trained_on: int
    created_at: datetime
    activation: Activation | None
    deciding: bool


@dataclass(frozen=True, slots=True)
class Previewed:
    """How many records a matcher would move, and as of when that was computed."""

    records_moved: int
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Pending:
    """Records that are to be joined by the matcher that decides.

    Attributes:
        activation: The position of its activation.
        numbers: The records, in order.
        joined_to: The number up to which all are joined when these are.
    """

    activation: int
    numbers: tuple[int, ...]
    joined_to: int


@dataclass(frozen=True, slots=True)
class MatcherDraft:
    """A matcher made ready to be kept.

    Attributes:
        origin: Where its weights come from.
        sha256: Digest over all that decides.
        body: The weights, serialised; values under a keyed hash.
        key: The key of that hash, which the key store has committed.
        trained_on: Records it was trained on; 0 if it was not trained here.
    """

    origin: MatcherOrigin
    sha256: bytes
    body: bytes
    key: DataKey
    trained_on: int


class Matchers(Protocol):
    """Matchers, in the transaction of a unit."""

    async def draft(self, matcher: Matcher, origin: MatcherOrigin, *, trained_on: int = 0) -> MatcherDraft:
        """Make a matcher ready, before any transaction begins.

        Raises:
            RapportError: NOT_READY.
        """
        ...

    async def add(self, unit: Unit, matcher_id: str, draft: MatcherDraft) -> None:
        """Keep a matcher under an id; one that is there under it stays as it is."""
        ...

    async def get(self, unit: Unit, matcher_id: str) -> Version | None:
        """Return a matcher."""
        ...

    async def page(self, unit: Unit, after: tuple[datetime, str] | None, limit: int) -> Sequence[Version]:
        """Return matchers, the newest first, those after the given one, their frequencies left out."""
        ...

    async def decided_at(self, unit: Unit, moment: datetime) -> str:
        """Return the matcher that decided at a time; empty if none was stored by then."""
        ...

    async def activate(self, unit: Unit, matcher_id: str, *, actor: str, reason: str) -> None:
        """Let a matcher decide from the position that this unit writes."""
        ...

    async def previewed(self, unit: Unit, matcher_id: str, against: str) -> Previewed | None:
        """Return the last preview of a matcher against another."""
        ...

    async def keep_preview(self, unit: Unit, matcher_id: str, against: str, previewed: Previewed) -> None:
        """Keep what a preview found."""
        ...

    async def pending(self, unit: Unit, limit: int) -> Pending | None:
        """Return the next records that are not joined by the matcher that decides; None if all are."""
        ...

    async def joined(self, unit: Unit, pending: Pending) -> None:
        """Note that these records are joined by it."""
        ...


async def get_matcher(matchers: Matchers, unit: Unit, matcher_id: str) -> Version:
    """Return a matcher.

    Raises:
        RapportError: MATCHER_NOT_FOUND, NOT_READY.
    """
    found = await matchers.get(unit, matcher_id)
    if found is None:
        raise ERRORS.error("MATCHER_NOT_FOUND", "there is no such matcher", field="matcher_id")
    return found
