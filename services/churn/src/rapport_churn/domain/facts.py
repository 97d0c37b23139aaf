"""Facts: the few integers that are kept of each thing that happened between a customer and the company."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

SECOND: Final = 1_000_000
HOUR: Final = 3_600 * SECOND
DAY: Final = 24 * HOUR


class FactKind(IntEnum):
    """What happened. Numbers are stored and never change; beside each stands what its value and quantity are.

    Without a word the value is 0 and the quantity 1. Money is in minor units of the installation's currency; an amount
    in another currency, or none, is 0.
    """

    ORDER = 1
    """An order was placed. Value: what is paid in all. Quantity: items."""
    RETURNED = 2
    """An order, or part of it, came back or was cancelled. Value: what was paid back. Quantity: items."""
    VIEWED = 3
    SEARCHED = 4
    """Value: how many results were found."""
    CART_CHANGED = 5
    """A basket was changed. Value: 1 if something was put in, 0 if taken out. Quantity: items."""
    DELIVERED = 6
    """An order, or part of it, was delivered. Value: whole hours after the time promised, at least 0."""
    MESSAGE_DELIVERED = 7
    MESSAGE_OPENED = 8
    MESSAGE_CLICKED = 9
    MESSAGE_DROPPED = 10
    """A message was not sent, or could not be delivered."""
    OFFER_RECEIVED = 11
    OFFER_SHOWN = 12
    OFFER_ACCEPTED = 13
    OFFER_REFUSED = 14
    OFFER_REDEEMED = 15
    """A price or an offer of ours was used. Value: what it took off."""
    OFFER_EXPIRED = 16
    CONTACT_OPENED = 17
    """The customer turned to the company."""
    CONTACT_ANSWERED = 18
    """Value: whole hours the customer had waited."""
    CONTACT_CLOSED = 19
    """Value: 1 if the concern was settled."""
    FEEDBACK = 20
    """Value: the score in thousandths of its scale, 0 the worst, 1000 the best."""
    SUBSCRIPTION_RENEWED = 21
    """A subscription was started, renewed, enlarged or resumed. Value: what a term costs."""
    SUBSCRIPTION_REDUCED = 22
    """A subscription was made smaller, or rests."""
    SUBSCRIPTION_ENDED = 23
    """A subscription was cancelled, or ended."""
    UNSUBSCRIBED = 24
    """The customer wants no more messages of a kind."""


class Fact(NamedTuple):
    """A fact, as a reader learnt it. Times are microseconds since 1970, UTC, and never negative.

    A fact may be issued again, with the same id, times and content, for another profile and a higher owner version;
    `supersedes` says which issue holds.

    Attributes:
        fact_id: Names the fact; it counts once.
        profile_id: Whose it is, as named by this issue.
        owner_version: Rises with each issue of the fact.
        kind: What happened.
        occurred_at: When it happened, in the world.
        arrived_at: When it was first recorded here.
        value: An amount or a number, as the kind says.
        quantity: How many.
        channel: The number of the channel; 0 where there is none.
    """

    fact_id: str
    profile_id: str
    owner_version: int
    kind: FactKind
    occurred_at: int
    arrived_at: int
    value: int = 0
    quantity: int = 1
    channel: int = 0


def supersedes(issue: Fact, held: Fact) -> bool:
    """Whether an issue of a fact replaces the one that is held: it alone says whose the fact is."""
    return issue.owner_version > held.owner_version
