"""The gate as those see it who ask it before an effect: a port, which `gate.Gate` and `embedded.ConsentGate` have."""

from typing import Protocol

from rapport_privacy.decision import Decision


class Position(Protocol):
    """A point in the ledger, such as the freshness token that a write returns."""

    @property
    def epoch(self) -> str:
        """Epoch of the ledger."""

    @property
    def position(self) -> int:
        """Position in the epoch."""


class Permits(Protocol):
    """The consent gate of this process: answers, from memory, whether an effect is allowed at this instant."""

    def check(
        self,
        profile_id: str,
        purpose_id: str,
        *,
        brand_id: str = "",
        market: str = "",
        data_category: str = "",
        at_least: Position | None = None,
    ) -> Decision:
        """Answer for any id ever issued for the person; `gate.Gate.check` says what is asked.

        Raises:
            RapportError: BRAND_REQUIRED: a brand must be named for this purpose.
        """
        ...
