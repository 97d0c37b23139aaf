"""Until when a request is to be confirmed and answered, right by right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from rapport_consent.domain.deadlines import Calendar, Deadline, Pause, days_left, deadline, may_extend, received_on
from rapport_consent.domain.request_words import RightState
from rapport_consent.domain.requests import Request
from rapport_consent.domain.rule_packs import Right, RulePack

IDENTITY = "IDENTITY"
"""What a clock may pause for: the requester was asked who they are."""


@dataclass(frozen=True, slots=True)
class Due:
    """One deadline of a request.

    Attributes:
        right: The right it is of; None for the confirmation that the request came.
        deadline: Until when, and how that was reckoned.
        extended: Whether it is the extended one.
    """

    right: Right | None
    deadline: Deadline
    extended: bool = False

    def left(self, today: date) -> int | None:
        """Return the days left, negative once it has passed; None while the clock stands still."""
        return days_left(self.deadline, today)


class Clocks:
    """Reckons deadlines.

    Args:
        calendars: Gives the working days of a market.
        zones: Gives the time zone of a market.
    """

    def __init__(self, calendars: Callable[[str], Calendar], zones: Callable[[str], ZoneInfo]) -> None:
        self._calendars = calendars
        self._zones = zones

    def zone(self, market: str) -> ZoneInfo:
        """Return the time zone in which the days of a market are counted."""
        return self._zones(market)

    def dues(self, request: Request, pack: RulePack) -> tuple[Due, ...]:
        """Return what is due for a request, the earliest first; what stands still comes last."""
        received = received_on(request.received_at, self._zones(request.market))
        calendar = self._calendars(request.market)
        pauses = [Pause(IDENTITY, each.asked_on, each.answered_on) for each in request.identity_queries]
        found = []
        for each in request.rights:
            if each.state in (RightState.REFUSED, RightState.FULFILLED):
                continue
            clock = pack.rights[each.right].clock
            extended = request.extension is not None and clock.extended is not None
            span = clock.extended if extended and clock.extended is not None else clock.answer
            found.append(Due(each.right, deadline(received, span, calendar, clock, pauses), extended))
        acknowledged = any(letter.kind == "RECEIPT" for letter in request.letters)
        confirming = {clock.acknowledge: clock for clock in (pack.rights[each.right].clock for each in request.rights)}
        for confirm, clock in confirming.items():
            if confirm is not None and not acknowledged:
                found.append(Due(None, deadline(received, confirm, calendar, clock)))
        return tuple(sorted(found, key=lambda due: due.deadline.due_on or date.max))

    def may_extend(self, request: Request, pack: RulePack, told_on: date) -> bool:
        """Whether every right that is still open can be extended by a notice sent on this day."""
        open_rights = [due for due in self.dues(request, pack) if due.right is not None]
        return bool(open_rights) and all(
            may_extend(pack.rights[due.right].clock, due.deadline, told_on) for due in open_rights if due.right
        )
