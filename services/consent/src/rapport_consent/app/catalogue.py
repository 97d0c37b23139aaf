"""All purposes at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from rapport_consent.domain.history import PurposeTraits
from rapport_consent.domain.purposes import Purposes


@dataclass(frozen=True)
class Catalogue:
    """Purposes by id, those only drafted among them, as of the last ledger row about a purpose.

    Attributes:
        purposes: The purposes.
        position: Position of that row; 0 while there is none.
    """

    purposes: Purposes
    position: int

    @cached_property
    def traits(self) -> Mapping[str, PurposeTraits]:
        """What shapes the keys of each purpose."""
        return {purpose_id: purpose.traits for purpose_id, purpose in self.purposes.items()}
