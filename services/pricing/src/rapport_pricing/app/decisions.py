"""Decisions as they are kept, to be explained later."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from rapport_pricing.app.trials import Assigned


class Kept(NamedTuple):
    """A quote as it is kept.

    Attributes:
        decision_id: Explains it.
        quote_id: Of the quote.
        profile_id: Whose it is; empty for nobody in particular, or if the person was erased.
        issued_at: When it was made.
        epoch: Life of the catalogue.
        position: What was known of it.
        body: The quote as it was answered; empty if the person was erased.
        inputs: What it was made from besides the catalogue, as JSON; empty if the person was erased.
        assigned: Arms of experiments that it was given, until it is kept.
        currency: Of its amounts, until it is kept.
    """

    decision_id: str
    quote_id: str
    profile_id: str
    issued_at: datetime
    epoch: str
    position: int
    body: bytes
    inputs: str
    assigned: tuple[Assigned, ...] = ()
    currency: str = ""


class Unkept(NamedTuple):
    """A decision that was answered and is still to be made into what is kept: nobody waits for that.

    Attributes:
        decision_id: Explains it.
        profile_id: Whose it is; empty for nobody in particular.
        make: Makes it.
    """

    decision_id: str
    profile_id: str
    make: Callable[[], Kept]


class Redemption(NamedTuple):
    """A quote that is used.

    Attributes:
        quote_id: The quote.
        order_id: The order.
        profile_id: Who ordered; empty for nobody in particular.
        decision_id: Explains the quote.
        fact_id: Of the event that tells of it; empty for nobody in particular.
        body: What is answered.
        redeemed_at: When.
        kept: The decision, to be kept with it: the journal may not have been written yet.
    """

    quote_id: str
    order_id: str
    profile_id: str
    decision_id: str
    fact_id: str
    body: bytes
    redeemed_at: datetime
    kept: Kept


class Redeemed(NamedTuple):
    """How a quote was used: in which order, by whom, and what was answered."""

    order_id: str
    profile_id: str
    body: bytes
