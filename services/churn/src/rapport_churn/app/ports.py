"""What the use cases need of the outside, without saying how it is done."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from rapport_churn.domain.facts import Fact
from rapport_churn.domain.scoring import Scorer


class People(Protocol):
    """Who is whose, as the consent ledger has it."""

    def ids_of(self, current_id: str) -> tuple[str, ...]:
        """Return every id that stands for a person, the current one first."""
        ...


class Scope(StrEnum):
    """What is taken away from a person."""

    SCORES = "scores"
    """Scores, and what was told of them."""
    FACTS = "facts"
    """The same, and every fact."""
    ALL = "all"
    """The same, and what explained earlier scores."""


class Entered(NamedTuple):
    """A fact as it was entered into the log.

    Attributes:
        position: Where.
        fact: The fact.
        moved_from: Whose it was by the issues before.
    """

    position: int
    fact: Fact
    moved_from: tuple[str, ...]


class Removal(NamedTuple):
    """What was taken away, at a position of the log: the ids that were one person, and how much of them."""

    position: int
    profile_ids: tuple[str, ...]
    scope: Scope


class Stretch(NamedTuple):
    """The log after a position.

    Attributes:
        epoch: Its present life; positions of another one mean nothing.
        position: Everything up to here is in it.
        facts: In order.
        removals: In order.
    """

    epoch: str
    position: int
    facts: Sequence[Entered]
    removals: Sequence[Removal]


class History(NamedTuple):
    """All facts of some ids, as of one moment of the log."""

    epoch: str
    position: int
    facts: Sequence[Fact]


class Log(Protocol):
    """The event log."""

    async def of(self, profile_ids: Collection[str]) -> History:
        """Return all facts of some ids, those that happened first first.

        Raises:
            RapportError: NOT_READY.
        """
        ...

    async def head(self) -> tuple[str, int]:
        """Return the log's present life, and its last position.

        Raises:
            RapportError: NOT_READY.
        """
        ...

    async def after(self, epoch: str, position: int, limit: int) -> Stretch:
        """Return what follows a position, so many entries at most; of another epoch nothing but where it ends.

        Raises:
            RapportError: NOT_READY.
        """
        ...


class Serving(NamedTuple):
    """A model that has a role: since when, by which promotion, and what scores."""

    model_id: str
    version: int
    since: datetime
    scoring: Scorer


class Models(Protocol):
    """The models that have a role now, in memory."""

    @property
    def champion(self) -> Serving | None:
        """The one that serves; None while none does."""
        ...

    @property
    def challenger(self) -> Serving | None:
        """The one that scores in the shadow of the champion; None if none does."""
        ...


class HoldsOut(Protocol):
    """Says whom nobody may treat, so that the effect of treating can be measured."""

    def __call__(self, profile_id: str) -> bool:
        """Whether chance holds a customer out.

        Raises:
            RapportError: NOT_READY: what the draw depends on has not been read yet.
        """
        ...


class Order(StrEnum):
    """What customers are ordered by."""

    CHURN = "churn"
    VALUE = "value"
    AT_STAKE = "at_stake"
