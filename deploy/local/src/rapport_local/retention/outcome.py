"""What became of customers who may leave: scored, offered or not, at which price, written to or not, and why."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from google.type import money_pb2
from rapport.churn.v1 import churn_pb2
from rapport.notification.v1 import events_pb2 as notification_events_pb2
from rapport.notification.v1 import notification_pb2
from rapport.pricing.v1 import events_pb2, pricing_pb2, quote_pb2
from rapport_chassis.rpc.status import RemoteError

from rapport_local.retention.desk import Desk

_PAGE: Final = 500
_LOOK_EVERY_S: Final = 2.0
_QUIET_LOOKS: Final = 5
_QUOTED: Final = 5
_WAITS: Final = frozenset({notification_pb2.NOTIFICATION_STATE_ACCEPTED, notification_pb2.NOTIFICATION_STATE_INTENT})


@dataclass(frozen=True)
class Priced:
    """What something costs somebody, and what it costs everybody else."""

    quote: quote_pb2.Quote
    published: money_pb2.Money


@dataclass(frozen=True)
class Outcome:
    """What became of all.

    Attributes:
        ranked: All who are scored, the greatest chance of leaving first.
        offers: What became of offers to those at risk -> how many.
        messages: State and reason of messages -> how many.
        quotes: Prices of some who have an offer.
    """

    ranked: Sequence[churn_pb2.RankedProfile]
    offers: Counter[str]
    messages: Counter[tuple[str, str]]
    quotes: Sequence[Priced]

    @property
    def at_risk(self) -> list[churn_pb2.RankedProfile]:
        """Those at risk."""
        return [each for each in self.ranked if each.risk]


async def outcome(desk: Desk, market: str, product_ids: Sequence[str], *, within_s: float) -> Outcome:
    """Wait until nothing changes any more, or for so long, and return what became of all."""
    await _quiet(desk, within_s)
    ranked = await _ranked(desk)
    offers, open_to = Counter[str](), []
    for each in ranked:
        if each.risk:
            word, is_open = await _offer(desk, each.profile_id)
            offers[word] += 1
            open_to += [each.profile_id] if is_open else []
    quotes = [found for who in open_to[:_QUOTED] if (found := await _priced(desk, market, product_ids, who))]
    messages = Counter(became(each) for each in await _messages(desk))
    return Outcome(ranked, offers, messages, quotes)


def became(record: notification_pb2.NotificationRecord) -> tuple[str, str]:
    """Return what became of a message, and why."""
    state = notification_pb2.NotificationState.Name(record.state).removeprefix("NOTIFICATION_STATE_").lower()
    if record.state == notification_pb2.NOTIFICATION_STATE_HELD:
        reason = notification_events_pb2.HoldReason.Name(record.hold_reason).removeprefix("HOLD_REASON_")
    elif record.drop_reason:
        reason = notification_events_pb2.DropReason.Name(record.drop_reason).removeprefix("DROP_REASON_")
    else:
        permitted = record.state == notification_pb2.NOTIFICATION_STATE_SENT
        reason = "permitted, wanted, not too much" if permitted else ""
    return state, reason.replace("_", " ").lower()


async def _quiet(desk: Desk, within_s: float) -> None:
    """Wait until scores, and what follows from them, stand still."""
    before, same = (-1, -1, -1), 0
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while same < _QUIET_LOOKS and loop.time() < end:
        ranked, messages = await _ranked(desk), await _messages(desk)
        now = (len(ranked), sum(bool(each.risk) for each in ranked), len(messages))
        busy = not ranked or any(each.state in _WAITS for each in messages)
        same = same + 1 if now == before and not busy else 0
        before = now
        await asyncio.sleep(_LOOK_EVERY_S)


async def _ranked(desk: Desk) -> list[churn_pb2.RankedProfile]:
    asked = churn_pb2.RankProfilesRequest(page_size=_PAGE, order=churn_pb2.RANK_ORDER_CHURN)
    found: list[churn_pb2.RankedProfile] = []
    while True:
        page = await desk.churn.RankProfiles(asked)
        found += page.profiles
        if not page.next_page_token:
            return found
        asked.page_token = page.next_page_token


async def _messages(desk: Desk) -> list[notification_pb2.NotificationRecord]:
    asked = notification_pb2.ListNotificationsRequest(page_size=_PAGE)
    found: list[notification_pb2.NotificationRecord] = []
    while True:
        page = await desk.messages.ListNotifications(asked)
        found += page.notifications
        if not page.next_page_token:
            return found
        asked.page_token = page.next_page_token


async def _offer(desk: Desk, profile_id: str) -> tuple[str, bool]:
    listed = await desk.prices.ListOffers(pricing_pb2.ListOffersRequest(profile_id=profile_id, include_all=True))
    if not listed.offers:
        return "not permitted: no price of their own", False
    offer = listed.offers[0].offer
    if offer.treatment == events_pb2.TREATMENT_HELD_OUT:
        return "held out by chance, to measure the effect", False
    if offer.state == events_pb2.OFFER_STATE_OPEN:
        return "made", True
    state = events_pb2.OfferState.Name(offer.state).removeprefix("OFFER_STATE_")
    return state.replace("_", " ").lower(), False


async def _priced(desk: Desk, market: str, product_ids: Sequence[str], profile_id: str) -> Priced | None:
    """Return the price of the product sold most, None if there is none."""
    request = pricing_pb2.GetQuoteRequest(market=market)
    if not product_ids:
        return None
    request.lines.add(product_id=product_ids[0], quantity=1)
    try:
        published = await desk.prices.GetQuote(request)
        request.profile_id = profile_id
        return Priced(await desk.prices.GetQuote(request), published.all_in)
    except RemoteError:
        return None
