"""A question put to one block."""

from datetime import datetime
from typing import Final

from rapport_privacy.decision import Found
from rapport_privacy.packed import NEVER_US, Block, microseconds
from rapport_privacy.rules import Outcome, Question, weigh
from rapport_privacy.state import KeyState
from rapport_privacy.vocabulary import EvidenceKind, Status

# What a proven grant that never expires leads to is worked out from this one.
_LASTING_GRANT: Final = KeyState(Status.GRANTED, EvidenceKind.CAPTURED)


class Posed:
    """A question with all that is the same for everybody in a block.

    Attributes:
        question: The question.
        valid_from: As in the question.
        valid_until: As in the question.
        masks: Bits of the block at which the decision in force is looked for, the most special first.
        if_granted: The outcome for a proven grant that does not expire.
        if_nothing: The outcome for somebody of whom nothing is known.
    """

    __slots__ = ("_block", "_outcomes", "if_granted", "if_nothing", "masks", "question", "valid_from", "valid_until")

    def __init__(self, question: Question, block: Block, now: datetime) -> None:
        self.question = question
        self.valid_from = question.valid_from
        self.valid_until = question.valid_until
        self.masks = tuple(1 << block.bits[key] for key in question.keys if key in block.bits)
        self.if_granted = weigh(question, _LASTING_GRANT, now)
        self.if_nothing = weigh(question, None, now)
        self._block = block
        self._outcomes: dict[int, tuple[Outcome | None, Outcome | None]] = {}

    def weigh(self, known: tuple[int, int, int], now: datetime) -> tuple[Outcome, Found]:
        """Weigh what `Block.find` found: by two bits a key, and by the details only where these do not say enough."""
        row, granted, negative = known
        for mask in self.masks:
            if negative & mask:
                index = self._block.starts[row] + ((granted | negative) & (mask - 1)).bit_count()
                outcome = self._weigh_detail(index, now)
                if outcome is not None:
                    return outcome, (self._block, row, mask)
            elif granted & mask:
                return self.if_granted, (self._block, row, mask)
        return self.if_nothing, None

    def _weigh_detail(self, index: int, now: datetime) -> Outcome | None:
        """Return the outcome of a decision in the side table; None for one that counts as none."""
        details = self._block.details
        context = details.context[index]
        outcomes = self._outcomes.get(context)
        if outcomes is None:
            outcomes = self._outcomes[context] = self._weigh_context(context, now)
        unless_over, if_over = outcomes
        if unless_over is if_over:
            return if_over
        return if_over if NEVER_US < details.until[index] <= microseconds(now) else unless_over

    def _weigh_context(self, context: int, now: datetime) -> tuple[Outcome | None, Outcome | None]:
        """The outcomes of a decision without an end, and of one whose end has come."""
        status, evidence = self._block.details.contexts[context][:2]
        if status == Status.UNSPECIFIED:
            return None, None
        lasting, over = KeyState(status, evidence), KeyState(status, evidence, expires_at=now)
        return weigh(self.question, lasting, now), weigh(self.question, over, now)
