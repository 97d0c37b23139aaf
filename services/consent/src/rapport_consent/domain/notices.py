"""The exact words shown to a person."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """A published version of a notice. Immutable.

    Attributes:
        notice_id: Stable name.
        version: Rises by one with each publication.
        locale: Language of the text, BCP 47.
        text: The text as shown.
        sha256: Digest of the text's bytes.
        purpose_ids: The purposes it speaks of.
        brand_id: The brand in whose name it speaks; empty for all.
        published_at: When it was published.
        published_by: Subject of the actor who published it.
    """

    notice_id: str
    version: int
    locale: str
    text: str
    sha256: bytes
    purpose_ids: frozenset[str]
    brand_id: str
    published_at: datetime
    published_by: str

    def covers(self, purpose_id: str, brand_id: str) -> bool:
        """True if it speaks of a purpose in the name of a brand, or of all."""
        return purpose_id in self.purpose_ids and (not self.brand_id or brand_id in ("", self.brand_id))
