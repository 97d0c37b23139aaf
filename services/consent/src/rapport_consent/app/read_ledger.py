"""What the use cases that only read get of the ledger: the rows about a person, at one moment."""

from dataclasses import dataclass

from rapport_consent.app.catalogue import Catalogue
from rapport_consent.domain.history import History
from rapport_consent.domain.rows import LedgerRow


@dataclass(frozen=True, slots=True)
class Reading:
    """The rows of an id's family, and the head and catalogue they were read under."""

    epoch: str
    position: int
    catalogue: Catalogue
    rows: tuple[LedgerRow, ...]

    def history(self) -> History:
        """Return the rows, ordered for resolution."""
        return History(self.catalogue.traits, self.rows)
