"""Which law a request is answered by, and by when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from rapport_consent.domain.deadlines import received_on
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.request_clocks import Clocks, Due
from rapport_consent.domain.requests import Request
from rapport_consent.domain.rule_packs import RulePack, pack_for


@dataclass(frozen=True)
class Law:
    """Rule packs and calendars of an installation.

    Attributes:
        packs: All versions of all packs.
        clocks: Reckons deadlines.
    """

    packs: Sequence[RulePack]
    clocks: Clocks

    def in_force(self, market: str, received_at: datetime) -> RulePack:
        """Return the pack of a request that was received then.

        Raises:
            RapportError: LAW_UNKNOWN.
        """
        pack = pack_for(self.packs, market, received_on(received_at, self.clocks.zone(market)))
        if pack is None:
            raise ERRORS.error("LAW_UNKNOWN", "no rule pack holds in this market on that day", field="market")
        return pack

    def of(self, request: Request) -> RulePack:
        """Return the pack that a request keeps.

        Raises:
            RapportError: LAW_UNKNOWN: the installation has lost it.
        """
        for pack in self.packs:
            if pack.name == request.rule_pack:
                return pack
        raise ERRORS.error("LAW_UNKNOWN", "the rule pack of the request is gone")

    def dues(self, request: Request) -> tuple[Due, ...]:
        """Return what is due for a request, the earliest first."""
        return self.clocks.dues(request, self.of(request))

    def today(self, request: Request, now: datetime) -> date:
        """Return the day it is where a request came from."""
        return received_on(now, self.clocks.zone(request.market))
