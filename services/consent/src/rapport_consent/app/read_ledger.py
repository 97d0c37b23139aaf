"""What the use cases that only read get of the ledger: the rows about a person, at one moment."""

from dataclasses import dataclass
from datetime import datetime

from rapport_consent.app.catalogue import Catalogue
from rapport_consent.domain.history import History
from rapport_consent.domain.rows import LedgerRow


@dataclass(frozen=True, slots=True)
class Reading:
    """The rows of an id's family, the head and catalogue they were read under, and what is in doubt since a restore."""

    epoch: str
    position: int
    catalogue: Catalogue
    rows: tuple[LedgerRow, ...]
    doubted_until: datetime | None = None

    def history(self) -> History:
        """Return the rows, ordered for resolution."""
        return History(self.catalogue.traits, self.rows)
