"""What is known of a listing when its price is decided: who decides, what was decided, and what came of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple, Protocol

from rapport_pricing.app.rules import Learning
from rapport_pricing.app.stored import Key
from rapport_pricing.domain.demand import Floats, Level, Posterior, shipped_shapes
from rapport_pricing.domain.money import PPM
from rapport_pricing.domain.outcomes import NOTHING, Count
from rapport_pricing.domain.policy import Policy, PolicySettings, Product, Version
from rapport_pricing.domain.steering import Steering
from rapport_pricing.domain.teaching import Lesson, pooled_level, pooled_prior


class Turn(NamedTuple):
    """A decision, and the stretch of visits from then until the next.

    Attributes:
        turn: Its number.
        price_version: Of the published price in force.
        cell: Of the grid.
        price: As published.
        expected: Chance of a purchase, as believed then.
        variance: Of that chance.
        explores: Whether the price was published to learn.
        base: What the price version had to show before.
        at_us: When.
    """

    turn: int
    price_version: int
    cell: int
    price: int
    expected: float
    variance: float
    explores: bool
    base: Count
    at_us: int


class Learner(NamedTuple):
    """Where learning stands.

    Attributes:
        steering: Who decides.
        anchor: The price that learning began with; None before it did.
        prior: Weight of each shape of demand then, or when demand shifted last.
        level: What was expected of the level at that time.
        start_cell: Where the price stood when outcomes began to count.
        since_turn: Earlier turns count no more.
        turn: The last one; 0 before the first.
        target: Where the price is heading.
        settled: The price that earns most by what is believed, within a step.
        run_out: Whether stock decided.
        binding: The guardrail that bound the last price.
        stuck: Why no price could be published; empty if one could.
        decided_us: When was decided last.
    """

    steering: Steering = Steering()
    anchor: int | None = None
    prior: Floats | None = None
    level: Level = Level()
    start_cell: int = 0
    since_turn: int = 1
    turn: int = 0
    target: int | None = None
    settled: int | None = None
    run_out: bool = False
    binding: str = ""
    stuck: str = ""
    decided_us: int = 0


class Ledger(Protocol):
    """What was learned, in a transaction that holds the head of the catalogue and the learner."""

    async def lapse(self, key: Key, before_us: int, now_us: int) -> int | None:
        """Report who saw the price before a time as not having bought; return when the next of the others saw it."""
        ...

    async def turns(self, key: Key, since_turn: int) -> Sequence[Turn]:
        """Return the turns from one on, in order."""
        ...

    async def counts(self, key: Key, price_versions: Sequence[int]) -> Mapping[int, Count]:
        """Return what price versions have to show; one that is missing has nothing."""
        ...

    async def others(self, key: Key) -> Sequence[Lesson]:
        """Return what other products in the market were found to be like."""
        ...

    async def add(self, key: Key, turn: Turn) -> None:
        """Add a turn."""
        ...

    async def keep(self, key: Key, learner: Learner, taught: Lesson | None) -> None:
        """Replace what is kept of a learner, but not who decides."""
        ...


class Outlook(NamedTuple):
    """All that a decision is made from.

    Attributes:
        product: As it is now.
        versions: Since the last shift, with what came of them.
        turns: The same as they are kept.
        counts: What the price versions have to show.
    """

    product: Product
    versions: Sequence[Version]
    turns: Sequence[Turn]
    counts: Mapping[int, Count]


@cache
def policy_of(settings: PolicySettings) -> Policy:
    """Return what decides by settings."""
    return Policy(shipped_shapes(), settings)


def begun(policy: Policy, learner: Learner, price: int, cost: int, others: Sequence[Lesson]) -> Learner:
    """Return a learner that begins at a price, with what other products taught."""
    return learner._replace(
        anchor=price,
        prior=pooled_prior(policy.shapes, others, cost / max(price, 1)),
        level=pooled_level(others),
        start_cell=policy.shapes.anchor,
    )


async def look(ledger: Ledger, learner: Learner, key: Key, learning: Learning, *, cost: int, floor: int) -> Outlook:
    """Return all that a decision about a listing is made from.

    Args:
        ledger: What was learned.
        learner: Begun.
        key: The listing.
        learning: How its price is learned.
        cost: Of one piece, as prices are published.
        floor: Lowest price that law, cost and contract allow.
    """
    assert learner.anchor is not None
    assert learner.prior is not None
    product = Product(
        anchor=learner.anchor,
        cost=cost,
        lowest=max(-(-learner.anchor * learning.lowest_ppm // PPM), floor),
        highest=learner.anchor * learning.highest_ppm // PPM,
        prior=learner.prior,
        level=learner.level,
    )
    turns = await ledger.turns(key, learner.since_turn)
    counts = await ledger.counts(key, sorted({each.price_version for each in turns}))
    return Outlook(product, versions_of(learner.start_cell, turns, counts), turns, counts)


def versions_of(start_cell: int, turns: Sequence[Turn], counts: Mapping[int, Count]) -> list[Version]:
    """Return the versions that turns were, with what came of each; before them stands where the price began.

    A price that stayed the same over several turns is one published version: what it has to show is split among them
    as it was heard, and their sum is the same however it was split.
    """
    versions = [Version(start_cell, 0, 0.5, 0.0)]
    ends = [
        after.base if after.price_version == before.price_version else counts.get(before.price_version, NOTHING)
        for before, after in pairwise(turns)
    ]
    if turns:
        ends.append(counts.get(turns[-1].price_version, NOTHING))
    for turn, end in zip(turns, ends, strict=True):
        versions.append(
            Version(turn.cell, turn.price, turn.expected, turn.variance, turn.explores, *end.less(turn.base))
        )
    return versions


def digest(posterior: Posterior) -> bytes:
    """Return the SHA-256 of what is believed, bit by bit."""
    found = hashlib.sha256()
    for each in (posterior.weights, posterior.levels, posterior.variances):
        found.update(each.astype("<f8").tobytes())
    return found.digest()
