"""What the broker says of a batch of published events."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rapport_chassis.events.jetstream import JetStreamError
from rapport_chassis.events.published import Waiting
from rapport_chassis.events.wire import WireError

_CONFIRMED: Final = re.compile(rb'"seq": ?([0-9]+)')
_REFUSED: Final = b'"error"'


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a batch.

    Attributes:
        confirmed: The events the broker has, each with its sequence.
        last: The last sequence up to which all is known; behind a refusal others may be stored without an answer.
        refusal: Why the first of those that are not confirmed is not; None if all are.
    """

    confirmed: list[tuple[Waiting, int]]
    last: int
    refusal: JetStreamError | WireError | None


def read_answers(batch: Sequence[Waiting], answers: Sequence[bytes | None], last: int, problem: str) -> Sent:
    """Return what became of a batch that was published after sequence `last`.

    Args:
        batch: What was published.
        answers: What the broker said of each; None where it said nothing.
        last: The stream's last sequence before the batch.
        problem: What happened to the connection, for those without an answer.
    """
    confirmed: list[tuple[Waiting, int]] = []
    refusal: JetStreamError | WireError | None = None
    for waiting, answer in zip(batch, answers, strict=True):
        taken = _CONFIRMED.search(answer) if answer and _REFUSED not in answer else None
        if taken is not None:
            confirmed.append((waiting, int(taken[1])))
        elif refusal is None:
            refusal = JetStreamError(json.loads(answer)["error"]) if answer else WireError(problem)
    end = last if refusal is not None else max(sequence for _, sequence in confirmed)
    return Sent(confirmed, end, refusal)
