"""Links by which a person fetches a package without a login. They die with the verification that they rest on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from rapport_chassis.asgi.links import LinkSigner
from rapport_chassis.clock import Clock

from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.request_words import RequestState, RightState
from rapport_consent.domain.requests import Request
from rapport_consent.domain.rule_packs import Right

PACKAGE: Final = "package"
"""What a link allows: to fetch one package."""

_SEALED: Final = (Right.ACCESS, Right.PORTABILITY)
_DEAD: Final = frozenset({RequestState.CANCELLED, RequestState.REFUSED})


@dataclass(frozen=True)
class PackageLinks:
    """Makes and opens links to packages.

    Attributes:
        signer: Signs them.
        clock: The time.
        valid_for: How long after a verification a package may be fetched by it.
        origin: Where people reach the listener, for letters; empty where letters are to name no link.
    """

    signer: LinkSigner
    clock: Clock
    valid_for: timedelta
    origin: str = ""

    def in_letter(self, request: Request) -> str:
        """Return where the person fetches the packages of a request, one a line; empty where nowhere."""
        sealed = [each.right for each in request.rights if each.right in _SEALED and each.state is RightState.FULFILLED]
        ends = self._ends(request)
        if not self.origin or ends is None or ends <= self.clock.now():
            return ""
        return "\n".join(self.origin + self.link_to(request, right)[0] for right in sealed)

    def link_to(self, request: Request, right: Right) -> tuple[str, datetime]:
        """Return the path of a package for whoever holds it, and when it ends.

        Raises:
            RapportError: VERIFICATION_STALE: nobody was verified, or too long ago.
        """
        ends = self._ends(request)
        if ends is None or ends <= self.clock.now():
            raise ERRORS.error("VERIFICATION_STALE", "who asks must be verified anew", field="privacy_request_id")
        subject = f"{request.id}/{right.value}/{_rests_on(request)}"
        return f"/packages/{self.signer.sign(PACKAGE, subject, ends)}", ends

    def open(self, token: str) -> tuple[str, Right, str]:
        """Return the request, the right, and what the link rests on.

        Raises:
            RapportError: LINK_INVALID, LINK_PURPOSE_WRONG, LINK_EXPIRED.
        """
        request_id, right, rests_on = self.signer.open(PACKAGE, token).subject.split("/")
        return request_id, Right(right), rests_on

    def require_alive(self, request: Request, rests_on: str) -> None:
        """Refuse a link whose request ended otherwise, or was verified anew since, by somebody else perhaps.

        Raises:
            RapportError: VERIFICATION_STALE.
        """
        ends = self._ends(request)
        alive = ends is not None and self.clock.now() < ends and _rests_on(request) == rests_on
        if not alive or request.state in _DEAD:
            raise ERRORS.error("VERIFICATION_STALE", "the verification that the link rests on does not stand any more")

    def _ends(self, request: Request) -> datetime | None:
        if not request.verifications:
            return None
        latest = max(each.verified_at for each in request.verifications)
        return (latest + self.valid_for).replace(microsecond=0)


def _rests_on(request: Request) -> str:
    """Name the verifications of a request, without saying anything of them."""
    named = ";".join(f"{each.method}@{each.verified_at.timestamp():.6f}" for each in request.verifications)
    return sha256(named.encode()).hexdigest()[:24]
