"""The gate's answer, with all that explains it."""

from datetime import datetime
from typing import NamedTuple

from rapport_privacy.packed import Block
from rapport_privacy.state import KeyState
from rapport_privacy.vocabulary import Answer, EvidenceKind

Found = KeyState | tuple[Block, int, int] | None
"""A decision in force, or the block, the row and the mask by which a block finds it."""


class Decision(NamedTuple):
    """Whether an effect is allowed now, why, and what the answer rests on.

    True in a condition only if the effect is permitted. A tuple, because a frozen dataclass takes longer to make than
    the whole check. What explains the answer is looked up when asked for; until then a decision may hold on to the
    columns it came from, so one that is kept for long should be kept as the values needed.

    Attributes:
        answer: One of `vocabulary.Answer`.
        reason: One of `vocabulary.Reason`.
        basis: The legal basis looked at, one of `vocabulary.Basis`; 0 if it was not looked at.
        purpose_version: Version of the purpose applied; 0 if none.
        profile_id: The id that stands for the person now.
        found: Where the decision of the person in force stands, which `state` and the properties after it are read
            from: itself, or a block, a row and a bit in it; None if there is none.
        epoch: Epoch of the ledger; empty while nothing is loaded.
        position: The answer rests on every ledger write up to here.
        as_of: When it was answered.
        staleness_s: Seconds since the answerer was last known to be fresh; infinite if it never was.
    """

    answer: int
    reason: int
    basis: int
    purpose_version: int
    profile_id: str
    found: Found
    epoch: str
    position: int
    as_of: datetime
    staleness_s: float

    def __bool__(self) -> bool:
        """True only if the effect is permitted."""
        return self.answer == Answer.PERMIT

    @property
    def permitted(self) -> bool:
        """True only if the effect is permitted."""
        return self.answer == Answer.PERMIT

    @property
    def state(self) -> KeyState | None:
        """The decision of the person in force; None if there is none."""
        found = self.found
        if found is None or isinstance(found, KeyState):
            return found
        block, row, mask = found
        return block.state(row, mask)

    @property
    def reference(self) -> str:
        """Ledger event id of the decision in force; empty if none."""
        return "" if (state := self.state) is None else state.reference

    @property
    def notice_id(self) -> str:
        """Notice under which it was made; empty if none."""
        return "" if (state := self.state) is None else state.notice_id

    @property
    def notice_version(self) -> int:
        """Version of that notice; 0 if none."""
        return 0 if (state := self.state) is None else state.notice_version

    @property
    def evidence(self) -> int:
        """Where its proof comes from, one of `vocabulary.EvidenceKind`."""
        return EvidenceKind.UNSPECIFIED if (state := self.state) is None else state.evidence

    @property
    def expires_at(self) -> datetime | None:
        """When the grant expires; None for never."""
        return None if (state := self.state) is None else state.expires_at

    @property
    def reask_not_before(self) -> datetime | None:
        """The person is not to be asked again before; None for no such rule."""
        return None if (state := self.state) is None else state.reask_not_before

    @property
    def granting_ids(self) -> tuple[str, ...]:
        """Ids whose own rows grant; contact points recorded under others are not covered."""
        return () if (state := self.state) is None else state.granting_ids
