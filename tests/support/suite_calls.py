"""What a shop asks of each service about one person, in a few words."""

from __future__ import annotations

from typing import Final

from google.type import date_pb2
from rapport.churn.v1 import churn_pb2, score_pb2
from rapport.common.v1 import freshness_pb2
from rapport.consent.v1 import consent_pb2
from rapport.identity.v1 import ingest_pb2
from rapport.notification.v1 import content_pb2, events_pb2, notification_pb2
from rapport.pricing.v1 import pricing_pb2, quote_pb2
from rapport_chassis.rpc.status import RemoteError
from suite_authoring import EMAIL, MARKET, NORTH, OFFER, PRODUCT
from suite_shop import Shop, request_id, until

SENT: Final = notification_pb2.NOTIFICATION_STATE_SENT
HELD: Final = notification_pb2.NOTIFICATION_STATE_HELD
_GONE: Final = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED"})
DROPPED: Final = notification_pb2.NOTIFICATION_STATE_DROPPED


async def quote(shop: Shop, profile_id: str) -> quote_pb2.Quote:
    """Ask what somebody pays."""
    request = pricing_pb2.GetQuoteRequest(market=MARKET, profile_id=profile_id)
    request.lines.add(product_id=PRODUCT, quantity=1)
    return await shop.pricing.GetQuote(request)


async def explained_quote(shop: Shop, profile_id: str) -> pricing_pb2.QuoteExplanation:
    """Ask what somebody pays, and why."""
    decision_id = (await quote(shop, profile_id)).decision_id
    return await shop.pricing.ExplainQuote(pricing_pb2.ExplainQuoteRequest(decision_id=decision_id))


async def score(
    shop: Shop, profile_id: str, at_least: freshness_pb2.LedgerPosition | None = None
) -> score_pb2.Score | str:
    """Ask how likely somebody is to leave; return the reason where that is refused."""
    request = churn_pb2.ScoreProfileRequest(profile_id=profile_id, at_least=at_least)
    try:
        return await shop.churn.ScoreProfile(request)
    except RemoteError as refused:
        if refused.reason.name in _GONE:
            raise
        return refused.reason.name


async def features(shop: Shop, profile_id: str) -> score_pb2.FeatureVector:
    """Return what churn knows of somebody; nothing, where that is all."""
    try:
        return await shop.churn.GetFeatures(churn_pb2.GetFeaturesRequest(profile_id=profile_id))
    except RemoteError as refused:
        if refused.reason.name not in ("NOTHING_KNOWN", "PERMISSION_UNKNOWN"):
            raise
        return score_pb2.FeatureVector()


async def events_known(shop: Shop, profile_id: str) -> int:
    """Return how many events of somebody churn knows."""
    return (await features(shop, profile_id)).events


async def orders_known(shop: Shop, profile_id: str) -> int:
    """Return how many orders of somebody churn knows."""
    found = (await features(shop, profile_id)).features
    return next((int(each.value) for each in found if each.name == "orders_ever"), 0)


async def take(shop: Shop, touchpoint: ingest_pb2.RawTouchpoint) -> ingest_pb2.IngestedTouchpoint:
    """Send a touchpoint."""
    request = ingest_pb2.IngestTouchpointRequest(request_id=request_id(), touchpoint=touchpoint)
    return await shop.touchpoints.IngestTouchpoint(request)


async def write(
    shop: Shop,
    profile_id: str,
    *,
    category: str = "offers",
    knowing: consent_pb2.LedgerWrite | None = None,
) -> str:
    """Ask for a mail to somebody, as who knows of a decision, and return the id of the message."""
    request = notification_pb2.SendNotificationRequest(
        request_id=request_id(),
        recipient_id=profile_id,
        template_id=OFFER,
        brand_id=NORTH,
        category=category,
        purpose_id=EMAIL,
        channels=[notification_pb2.ChannelOption(channel=events_pb2.CHANNEL_EMAIL)],
        variables={
            "percent": content_pb2.ContentValue(text="15"),
            "valid_until": content_pb2.ContentValue(date=date_pb2.Date(year=2030, month=1, day=31)),
        },
        at_least=knowing.token if knowing is not None else None,
        **{"class": events_pb2.MESSAGE_CLASS_MARKETING},  # type: ignore[arg-type] # a keyword of Python
    )
    return (await shop.messages.SendNotification(request)).notification.notification_id


async def becomes(
    shop: Shop, notification_id: str, *states: notification_pb2.NotificationState.ValueType, within_s: float = 60
) -> notification_pb2.NotificationRecord:
    """Wait until a message is in one of these states."""
    asked = notification_pb2.GetNotificationRequest(notification_id=notification_id)
    return await until(
        lambda: shop.messages.GetNotification(asked),
        lambda record: record.state in states,
        within_s=within_s,
        what=f"the message is in {states}",
    )


def mails(shop: Shop, notification_id: str) -> int:
    """Return how often a message has gone out."""
    return len(list(shop.suite.environment.mails.glob(f"{notification_id}.*.eml")))
