"""What sending needs: what is known of a message when it is decided upon, and where that is kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple, Protocol

from rapport_privacy.decision import Decision

from rapport_notification.app.carriers import Contact, Texts
from rapport_notification.app.ledger import Step
from rapport_notification.app.messages import AttemptRow, Stored
from rapport_notification.app.templates import Prepared
from rapport_notification.domain.caps import Cap
from rapport_notification.domain.entries import Limits
from rapport_notification.domain.explaining import CapSeen
from rapport_notification.domain.preferences import Category, Person, Wish
from rapport_notification.domain.quiet_hours import Place
from rapport_notification.domain.routing import Past
from rapport_notification.domain.scheduling import Priority
from rapport_notification.domain.suppression import Suppression
from rapport_notification.domain.vocabulary import Channel, DropReason, HoldReason
from rapport_notification.domain.whereabouts import Whereabouts
from rapport_notification.sending.outcome import Outcome
from rapport_notification.sending.providers import Attempt


class RuleBook(NamedTuple):
    """What is in force.

    Attributes:
        categories: By name; one that is not here is heard everywhere and can be refused.
        caps: All of them.
    """

    categories: Mapping[str, Category]
    caps: tuple[Cap, ...]

    def category(self, name: str) -> Category:
        """Return a category."""
        return self.categories.get(name) or Category(name)


class Known(NamedTuple):
    """What is known of messages before anybody is asked.

    Attributes:
        rules: Categories and caps in force.
        persons: What people want, by the id that stands for each now.
        prepared: Templates, by message.
        pasts: How people have used channels, by the id that stands for each now.
        noticed: Messages that somebody did something with.
    """

    rules: RuleBook
    persons: Mapping[str, Person]
    prepared: Mapping[str, Prepared]
    pasts: Mapping[str, Mapping[Channel, Past]]
    noticed: Collection[str] = ()


class Ending(NamedTuple):
    """That a message is not sent now: it waits until a time for a reason, or is dropped for one."""

    hold: HoldReason | None = None
    until_us: int = 0
    drop: DropReason | None = None


@dataclass
class Case:
    """A message while it is decided upon.

    Attributes:
        stored: The message, claimed.
        ids: Every id of the recipient, the current one first.
        person: What the recipient wants.
        prepared: The template.
        rules: Categories and caps in force.
        ending: Why it is not sent now; None while it may be.
        decision: The gate's answer; None for a privacy request.
        wish: The preference that decided; None for the category's default.
        routes: Channels that may be tried, the best first.
        expected: What was expected of each channel.
        channel: The channel chosen.
        tried: Channels on which the recipient cannot be reached.
        contact: How the recipient is reached.
        address_hash: Stands for the address.
        suppressed: Why the address was given up; empty if it was not.
        where: Where the recipient may be.
        places: The same, with clocks and rules.
        open: Whether it was open there; None where that is not asked.
        opens_us: When it is; 0 where that is not asked.
        caps: Caps that counted it.
        taking: Places it takes in caps: name and day.
        locale: The language it is written in.
        texts: What it says.
        provider: The provider, and the attempt there.
        health: What was known of each provider.
    """

    stored: Stored
    ids: tuple[str, ...]
    person: Person
    prepared: Prepared
    rules: RuleBook
    ending: Ending | None = None
    decision: Decision | None = None
    wish: Wish | None = None
    routes: list[Channel] = field(default_factory=list)
    expected: dict[str, float] = field(default_factory=dict)
    channel: Channel | None = None
    tried: list[Channel] = field(default_factory=list)
    contact: Contact | None = None
    address_hash: bytes = b""
    suppressed: str = ""
    where: Whereabouts = Whereabouts((), ())  # noqa: RUF009 - frozen
    places: Sequence[Place] = ()
    open: bool | None = None
    opens_us: int = 0
    caps: tuple[CapSeen, ...] = ()
    taking: tuple[tuple[str, str], ...] = ()
    locale: str = ""
    texts: Texts | None = None
    provider: Attempt | None = None
    health: dict[str, str] = field(default_factory=dict)

    def hold(self, reason: HoldReason, until_us: int) -> None:
        """Let it wait."""
        self.ending = Ending(hold=reason, until_us=until_us)

    def drop(self, reason: DropReason) -> None:
        """Do not send it."""
        self.ending = Ending(drop=reason)


class Result(NamedTuple):
    """What came of an attempt.

    Attributes:
        stored: The message as it was begun.
        attempt: The attempt.
        outcome: What is known.
        others: Whether other channels are left.
        another_provider: Whether another provider takes one now.
    """

    stored: Stored
    attempt: AttemptRow
    outcome: Outcome
    others: bool
    another_provider: bool


class SendBook(Protocol):
    """Messages and what bounds them, in one transaction."""

    async def lock(self, *names: str) -> None:
        """Have other transactions that lock one of these names wait for this one."""
        ...

    async def hold(self, notification_ids: Sequence[str]) -> list[Stored]:
        """Return messages, which nobody else changes until the transaction ends."""
        ...

    async def add(self, stored: Stored) -> bool:
        """Keep a new message; False if its recipient has one of its cause."""
        ...

    async def persons(self, closures: Iterable[Sequence[str]]) -> dict[str, Person]:
        """Return what people want, by the first id of each."""
        ...

    async def unsubscribed(self, cases: Sequence[Case]) -> Collection[str]:
        """Return of which messages the recipient has unsubscribed, whether or not the ledger knows."""
        ...

    async def suppressions(self, hashes: Collection[bytes]) -> dict[tuple[bytes, int], Suppression]:
        """Return addresses that were given up, by hash and channel."""
        ...

    async def suppress(self, address_hash: bytes, channel: Channel, suppression: Suppression) -> None:
        """Give an address up."""
        ...

    async def counts(self, ids: Collection[str], since: date) -> dict[str, dict[tuple[str, date], int]]:
        """Return places taken in caps since a day, by the id they were taken under."""
        ...

    async def reserve(self, places: Collection[tuple[str, str, str]]) -> None:
        """Take places: id, cap and day of each."""
        ...

    async def take(self, steps: Sequence[Step]) -> list[bool]:
        """Take steps and say of each whether it was still possible."""
        ...


class SendStore(Protocol):
    """Where messages wait and what is known of them."""

    async def claim(self, priority: Priority, limit: int, now_us: int, limits: Limits) -> list[Stored]:
        """Take messages that are due for this worker, those of every brand in turn."""
        ...

    async def give_back(self, messages: Sequence[Stored]) -> None:
        """Let others claim messages that this worker has claimed and not begun."""
        ...

    async def known(self, messages: Sequence[Stored], closures: Mapping[str, tuple[str, ...]]) -> Known:
        """Return what is known of messages; `closures` are the ids of each recipient."""
        ...

    async def doubts(self, now_us: int, limit: int) -> tuple[list[Stored], int]:
        """Return messages in doubt that it is time to look at, and how many are in doubt at all."""
        ...

    def book(self) -> AbstractAsyncContextManager[SendBook]:
        """Give a transaction."""
        ...
