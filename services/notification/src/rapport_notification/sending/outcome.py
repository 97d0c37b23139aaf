"""What came of handing a message over: whether it certainly went, certainly did not, or may have."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Handed(Enum):
    """What is known."""

    SENT = "sent"
    """The provider took it."""
    REFUSED = "refused"
    """It refuses this message for good."""
    DEFERRED = "deferred"
    """It refuses for now."""
    UNREACHABLE = "unreachable"
    """Nothing of it left: no connection, or one that broke before."""
    WITHDRAWN = "withdrawn"
    """The last look before the first byte forbade it."""
    UNKNOWN = "unknown"
    """It broke after the provider could have taken it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt.

    Attributes:
        handed: What is known.
        code: The provider's status: of SMTP or HTTP; 0 where it gave none.
        status: Enhanced status code (RFC 3463) such as "5.1.1"; "" where there is none.
        reference: What the provider calls it; "" where it does not say.
        retry_after_s: When the provider wants to be asked again; None where it does not say.
    """

    handed: Handed
    code: int = 0
    status: str = ""
    reference: str = ""
    retry_after_s: float | None = None

    @property
    def certain(self) -> bool:
        """Whether it is known to have gone, or known not to."""
        return self.handed is not Handed.UNKNOWN

    @property
    def healthy(self) -> bool:
        """Whether the provider did its work, whatever it thinks of this message."""
        return self.handed in {Handed.SENT, Handed.REFUSED, Handed.WITHDRAWN}
