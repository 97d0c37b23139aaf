"""Which channel: by what a person wants, where the person can be reached, how soon it matters, and what worked before.

The value of a channel is how likely the person responds in time, times how content the person was with such messages,
less its cost. Little evidence stands beside a prior that all channels share, so one lucky click decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rapport_notification.domain.vocabulary import Channel

PRIOR_SENT: Final = 10.0
PRIOR_RESPONSES: Final = 2.0
PRIOR_RESPONSE_S: Final = 4 * 3600.0
PRIOR_SATISFACTION: Final = 0.7


@dataclass(frozen=True, slots=True)
class Past:
    """How a person has used a channel.

    Attributes:
        sent: Messages of the last year.
        responses: Of them opened, clicked or answered by the person.
        response_s: Sum of the time each response took.
        ratings: Feedback given about them.
        content: Sum of it, each from 0 to 1.
    """

    sent: int = 0
    responses: int = 0
    response_s: float = 0.0
    ratings: int = 0
    content: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.responses <= self.sent and 0 <= self.content <= self.ratings and self.response_s >= 0):
            raise ValueError("a past has no more responses than messages, and no more content than ratings")

    def response_within(self, seconds: float) -> float:
        """Return how likely a response comes in time."""
        likely = (self.responses + PRIOR_RESPONSES) / (self.sent + PRIOR_SENT)
        # As many time constants as priors: a response's time is taken as exponential.
        mean = (self.response_s + PRIOR_RESPONSES * PRIOR_RESPONSE_S) / (self.responses + PRIOR_RESPONSES)
        return likely * -math.expm1(-seconds / mean)

    @property
    def satisfaction(self) -> float:
        """How content the person is, from 0 to 1."""
        return (self.content + PRIOR_RESPONSES * PRIOR_SATISFACTION) / (self.ratings + PRIOR_RESPONSES)


@dataclass(frozen=True, slots=True)
class Option:
    """A channel on which the category is wanted and the person can be reached.

    Attributes:
        channel: Which.
        past: How it was used.
        cost: Of a message, in the unit that a response is worth.
        chosen: The person named this channel for the category.
        healthy: A provider of it works.
    """

    channel: Channel
    past: Past = Past()
    cost: float = 0.0
    chosen: bool = False
    healthy: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """A channel and when it is its turn, if nothing before it was responded to.

    Attributes:
        channel: Which.
        after_s: How long after the first.
        value: What was expected of it.
    """

    channel: Channel
    after_s: float
    value: float


def route(options: Iterable[Option], *, within_s: float, fallback_s: float | None) -> tuple[Step, ...]:
    """Return the channels in turn.

    Args:
        options: What can be used.
        within_s: How soon a response is worth something.
        fallback_s: How long each is waited for before the next; None for no fallback.

    Returns:
        A channel that the person named goes first, one without a working provider last. The time left shrinks with
        each step, and no step begins when it is over. Empty without options.
    """
    left = list(options)
    steps: list[Step] = []
    after = 0.0
    while left and after < within_s:
        remaining = within_s - after
        best = max(left, key=lambda each: (each.healthy, each.chosen, _value(each, remaining), -each.channel))
        steps.append(Step(best.channel, after, _value(best, remaining)))
        left.remove(best)
        if fallback_s is None:
            break
        after += fallback_s
    return tuple(steps)


def expected(options: Sequence[Option], within_s: float) -> dict[Channel, float]:
    """Return what is expected of each channel, for the explanation of a choice."""
    return {each.channel: _value(each, within_s) for each in options}


def _value(option: Option, seconds: float) -> float:
    return option.past.response_within(seconds) * option.past.satisfaction - option.cost
