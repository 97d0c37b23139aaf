"""Use case: decide whether, when, where and how a message is sent; nothing here changes anything."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

from rapport_chassis.clock import Clock
from rapport_privacy.decision import Decision
from rapport_privacy.permits import Permits
from rapport_privacy.vocabulary import Answer, Basis, Reason

from rapport_notification.app.carriers import Carrier
from rapport_notification.app.messages import Stored
from rapport_notification.app.sending import Case
from rapport_notification.app.times import micros_of, moment_of
from rapport_notification.domain.caps import has_room
from rapport_notification.domain.entries import Limits
from rapport_notification.domain.explaining import CapSeen, ConsentSeen, Receipt, WindowSeen
from rapport_notification.domain.holds import release_at
from rapport_notification.domain.ledger import may_begin
from rapport_notification.domain.preferences import decide
from rapport_notification.domain.quiet_hours import HORIZON, QuietHours, is_open, local_day, next_opening
from rapport_notification.domain.routing import Option, Past, expected, route
from rapport_notification.domain.vocabulary import (
    SECOND_US,
    Channel,
    DropReason,
    HoldReason,
    MessageClass,
)
from rapport_notification.domain.whereabouts import DECLARED, Evidence, whereabouts

Numbers = Callable[[str], Evidence]
"""Where the owner of a telephone number may be."""

_STALE_US: Final = SECOND_US
_WITHIN_S: Final = 7 * 86_400.0


class Position(NamedTuple):
    """A point in the consent ledger."""

    epoch: str
    position: int


@dataclass(frozen=True)
class Judge:
    """Decides.

    Attributes:
        permits: The gate.
        carriers: What hands messages over, by channel.
        hours: Quiet hours.
        numbers: Where owners of telephone numbers may be.
        home: Zone of a person of whom nothing is known.
        spread_us: Over how long messages that waited for the same opening are let go.
        limits: Times of claims and sends.
        advertises: Whether mails may advertise: somebody answers the links that unsubscribe.
        clock: The time.
    """

    permits: Permits
    carriers: Mapping[Channel, Carrier]
    hours: QuietHours
    numbers: Numbers
    home: str
    spread_us: int
    limits: Limits
    advertises: bool
    clock: Clock

    def route(self, case: Case, pasts: Mapping[Channel, Past]) -> None:
        """Find the channels that a message may take, or why there are none."""
        stored, now_us = case.stored, micros_of(self.clock.now())
        if stored.entry.expires_us is not None and now_us >= stored.entry.expires_us:
            case.drop(DropReason.EXPIRED)
            return
        if stored.to_request:
            case.routes = [Channel.EMAIL] if Channel.EMAIL in self.carriers else []
        else:
            options = self._options(case, pasts)
            steps = route(options, within_s=_WITHIN_S, fallback_s=0.0)
            case.routes = [step.channel for step in steps]
            case.expected = {channel.name: value for channel, value in expected(options, _WITHIN_S).items()}
        if stored.entry.repeating:
            case.routes = [each for each in case.routes if each is stored.channel]
        if not case.routes and case.ending is None:
            case.drop(DropReason.UNREACHABLE)

    def place(self, case: Case) -> None:
        """Find where the recipient may be, and let a message wait that may not be sent there now."""
        stored, now = case.stored, self.clock.now()
        case.where = whereabouts(self._evidence(case))
        try:
            case.places = self.hours.places(case.where.candidates)
        except ValueError:
            case.places = self.hours.places([(self.home, "")])
        if not stored.ask.message_class.keeps_quiet or stored.to_request:
            return
        opening = next_opening(case.places, now)
        case.open = opening is not None and opening <= now
        if not case.open:
            opens_us = micros_of(opening if opening is not None else now + HORIZON)
            draw = int.from_bytes(hashlib.sha256(stored.notification_id.encode()).digest()[:4], "big")
            case.opens_us = opens_us
            expires_us = stored.entry.expires_us
            if expires_us is not None and opens_us >= expires_us:
                case.hold(HoldReason.QUIET_HOURS, expires_us)
            else:
                case.hold(HoldReason.QUIET_HOURS, release_at(opens_us, self.spread_us, draw, expires_us))

    def count(self, case: Case, taken: Mapping[tuple[str, date], int]) -> None:
        """Find the places in caps that a message takes, or let it wait where there is none.

        Args:
            case: The message.
            taken: Places taken by the recipient, by cap and day.
        """
        assert case.channel is not None
        stored, now = case.stored, self.clock.now()
        ask = stored.ask
        if stored.to_request or stored.entry.repeating:
            return
        days = sorted({local_day(place.zone, now) for place in case.places})
        counting = [each for each in case.rules.caps if each.counts(ask.message_class, case.channel, ask.category)]
        seen, full = [], None
        for cap in counting:
            own = {day: number for (name, day), number in taken.items() if name == cap.name}
            used = max(sum(own.get(day - timedelta(days=back), 0) for back in range(cap.days)) for day in days)
            seen.append(CapSeen(cap.name, days[0].isoformat(), used, cap.limit))
            if not has_room(cap, ask.message_class, days, own):
                room = max(cap.first_room(ask.message_class, day, own) for day in days)
                full = room if full is None else max(full, room)
        case.caps = tuple(seen)
        if full is None:
            case.taking = tuple((cap.name, day.isoformat()) for cap in counting for day in days)
            return
        # The day begins last in the zone that is furthest behind.
        begin = max(datetime(full.year, full.month, full.day, tzinfo=place.zone) for place in case.places)
        until_us = micros_of(begin.astimezone(UTC))
        if stored.entry.expires_us is not None and until_us >= stored.entry.expires_us:
            case.drop(DropReason.FREQUENCY_CAP)
        else:
            case.hold(HoldReason.FREQUENCY_CAP, max(until_us, micros_of(now) + SECOND_US))

    def may_send(self, case: Case, begun: Stored) -> bool:
        """Say whether a message may leave, at the instant before its first byte."""
        now = self.clock.now()
        if not may_begin(begun.entry, begun.entry.fence, micros_of(now), self.limits):
            return False
        if case.open is not None and not is_open(case.places, now):
            return False
        assert case.channel is not None
        return begun.to_request or self._ask(begun, case.channel).permitted

    def receipt(self, case: Case, attempt: int) -> Receipt:
        """Return the decision about a message, with everything it looked at."""
        stored, ending, decision = case.stored, case.ending, case.decision
        template = case.prepared.template
        return Receipt(
            notification_id=stored.notification_id,
            decision_id=stored.decision_id,
            decided_at=self.clock.now(),
            result="send" if ending is None else "hold" if ending.hold is not None else "drop",
            message_class=stored.ask.message_class,
            channel=case.channel,
            hold=ending.hold if ending is not None else None,
            drop=ending.drop if ending is not None else None,
            consent=_seen(decision) if decision is not None else None,
            preference=(
                {
                    "category": case.wish.category,
                    "channel": case.wish.channel,
                    "wanted": case.wish.wanted,
                    "set_us": case.wish.set_us,
                }
                if case.wish is not None
                else None
            ),
            suppressed=case.suppressed,
            caps=case.caps,
            window=self._window(case),
            template=(template.template_id, template.version, template.brand_id, case.locale),
            channels_expected=case.expected,
            provider=case.provider.provider if case.provider is not None else "",
            providers_health=case.health,
            attempt=attempt,
        )

    def _options(self, case: Case, pasts: Mapping[Channel, Past]) -> list[Option]:
        """Return the channels that are permitted, wanted and there; else say why there is none."""
        stored, now = case.stored, self.clock.boottime()
        category = case.rules.category(stored.ask.category)
        options: list[Option] = []
        refusals: list[DropReason] = []
        stale = None
        for wish in stored.ask.channels:
            channel = wish.channel
            if channel in stored.tried or not self._offers(stored, channel):
                continue
            decision = self._ask(stored, channel)
            if not decision.permitted:
                case.decision = case.decision or decision
                stale = stale or (decision if decision.answer == Answer.DENY_STALE else None)
                fenced = decision.answer == Answer.DENY_FENCED
                refusals.append(DropReason.FENCED if fenced else DropReason.NOT_PERMITTED)
                continue
            wanted, row = decide(category, channel, case.person.wishes)
            if not wanted:
                case.decision, case.wish = decision, row
                refusals.append(DropReason.PREFERENCE)
                continue
            chosen = row is not None and row.channel is channel and row.wanted
            healthy = "healthy" in self.carriers[channel].pool.health(now).values()
            options.append(Option(channel, pasts.get(channel, Past()), chosen=chosen, healthy=healthy))
        if not options and stale is not None:
            case.hold(HoldReason.CONSENT_STALE, micros_of(self.clock.now()) + _STALE_US)
        elif not options and refusals:
            case.drop(min(refusals, key=_SPOKEN.index))
        return options

    def _offers(self, stored: Stored, channel: Channel) -> bool:
        if channel not in self.carriers:
            return False
        advertising = stored.ask.message_class is MessageClass.MARKETING and channel is Channel.EMAIL
        return self.advertises or not advertising

    def choose(self, case: Case, channel: Channel) -> None:
        """Take a channel, with what the gate and the preferences say of it."""
        case.channel = channel
        if not case.stored.to_request:
            case.decision = self._ask(case.stored, channel)
            category = case.rules.category(case.stored.ask.category)
            _, case.wish = decide(category, channel, case.person.wishes)

    def _ask(self, stored: Stored, channel: Channel) -> Decision:
        ask = stored.ask
        return self.permits.check(
            ask.recipient_id,
            stored.purpose_of(channel),
            brand_id=ask.brand_id,
            market=ask.market,
            at_least=Position(*ask.at_least) if ask.at_least[0] else None,
        )

    def _evidence(self, case: Case) -> list[Evidence]:
        found = []
        if case.person.place is not None:
            found.append(Evidence(DECLARED, frozenset({case.person.place})))
        if market := case.stored.ask.market:
            found.append(Evidence("market", frozenset({("", market[:2])})))
        if case.channel is Channel.SMS and case.contact is not None:
            found.append(self.numbers(case.contact.address))
        return found

    def _window(self, case: Case) -> WindowSeen | None:
        if case.open is None:
            return None
        now = self.clock.now()
        zones = [(place.zone.key or "", "") for place in case.places]
        return WindowSeen(
            zones,
            case.where.sources,
            self.hours.version,
            [now.astimezone(place.zone).isoformat(timespec="minutes") for place in case.places],
            case.open,
            None if case.open else moment_of(case.opens_us),
        )


_SPOKEN: Final = (DropReason.FENCED, DropReason.NOT_PERMITTED, DropReason.PREFERENCE)


def _seen(decision: Decision) -> ConsentSeen:
    staleness = decision.staleness_s
    return ConsentSeen(
        answer=Answer(decision.answer).name,
        basis=Basis(decision.basis).name,
        reason=Reason(decision.reason).name,
        grant_reference=decision.reference,
        epoch=decision.epoch,
        position=decision.position,
        staleness_us=round(staleness * SECOND_US) if staleness < 1e9 else -1,
    )
