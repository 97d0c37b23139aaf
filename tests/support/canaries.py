"""People with a unique string in every field that any service takes of them.

A string is ten random letters that name the person, `zqkx`, and two letters that name the field: nobody is called as
anybody else is.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from string import ascii_lowercase
from typing import Any, Final

from canary_search import LETTERS, SIGN
from google.protobuf.timestamp_pb2 import Timestamp
from google.type import date_pb2, money_pb2
from rapport.consent.v1 import consent_pb2, purpose_pb2, purpose_pb2_grpc
from rapport.identity.v1 import events_pb2 as identity_events_pb2
from rapport.identity.v1 import identity_pb2, ingest_pb2, record_pb2, touchpoint_pb2
from rapport.notification.v1 import (
    content_pb2,
    events_pb2,
    notification_pb2,
    preference_pb2,
    template_pb2,
    template_pb2_grpc,
)
from rapport.pricing.v1 import pricing_pb2
from suite_authoring import (
    ANALYTICS,
    CURRENCY,
    DELIVERY,
    MARKET,
    PERSONAL_PRICES,
    PRODUCT,
    PROFILING,
    SERVICE,
)
from suite_shop import Shop, patiently, request_id, until

_NAMES: Final = ["".join(pair) for pair in product(ascii_lowercase, repeat=2)]
TEMPLATE: Final = "canary"
NOTICE: Final = "canary"
_ALLOWED: Final = (ANALYTICS, PROFILING, PERSONAL_PRICES)


@dataclass
class Person:
    """Somebody in whose every field a string of their own is planted.

    Attributes:
        marker: What all of the strings begin with.
        profile_id: Who they are, once they were taken in.
        planted: The strings, each with the field that it was planted in.
    """

    marker: str = field(default_factory=lambda: _letters() + SIGN)
    profile_id: str = ""
    planted: dict[str, str] = field(default_factory=dict)
    _names: Iterator[str] = field(default_factory=lambda: iter(_NAMES))

    def plant(self, where: str, prefix: str = "") -> str:
        """Return the value of a field, which holds a new string."""
        string = self.marker + next(self._names)
        self.planted[string] = where
        return prefix + string

    @property
    def email(self) -> str:
        """Their address, which they are looked up by."""
        return f"{self.at('identifier.email')}@posteo.net"

    def at(self, where: str) -> str:
        """Return the string that was planted in a field."""
        return next(string for string, planted in self.planted.items() if planted == where)


def _letters() -> str:
    return "".join(secrets.choice(ascii_lowercase) for _ in range(LETTERS))


async def author(shop: Shop) -> int:
    """Have in force what people are asked, and written to, by; return the version of the notice."""
    office = shop.stub("consent", purpose_pb2_grpc.PurposeServiceStub, role="officer")
    notice = await office.PublishNotice(
        purpose_pb2.PublishNoticeRequest(
            request_id=request_id(),
            notice_id=NOTICE,
            locale="en",
            text="May we?",
            purpose_ids=_ALLOWED,
            reason="canaries",
        )
    )
    editor = shop.stub("notification", template_pb2_grpc.TemplateServiceStub, role="editor")
    terms = template_pb2.TemplateTerms(locale="en", channels=[events_pb2.CHANNEL_EMAIL])
    terms.variables["title"].kind = template_pb2.VARIABLE_KIND_TEXT
    terms.texts["en"].subject = terms.texts["en"].text = "{{ title }}"
    terms.texts["en"].mjml = (
        "<mjml><mj-body><mj-section><mj-column><mj-text>{{ title }}</mj-text>"
        '<mj-button href="{{ unsubscribe_url }}">No more</mj-button></mj-column></mj-section></mj-body></mjml>'
    )
    drafted = await editor.UpsertTemplate(
        template_pb2.UpsertTemplateRequest(request_id=request_id(), template_id=TEMPLATE, terms=terms)
    )
    await editor.ActivateTemplate(
        template_pb2.ActivateTemplateRequest(
            request_id=request_id(), template_id=TEMPLATE, version=drafted.status.version, reason="canaries"
        )
    )
    return notice.version


async def take_in(shop: Shop, person: Person) -> None:
    """Have identity know them, by every field of a record."""
    record = record_pb2.Record(
        key=record_pb2.RecordKey(source="crm", source_record_id=person.plant("record.source_record_id")),
        brand_id=person.plant("record.brand_id"),
        market=MARKET,
        locale="en",
        time_zone="Europe/London",
        occurred_at=_ago(days=9),
        person=record_pb2.PersonData(
            names=[
                record_pb2.PersonName(
                    given_names=person.plant("name.given"),
                    middle_names=person.plant("name.middle"),
                    surname=person.plant("name.surname"),
                    suffix=person.plant("name.suffix"),
                )
            ],
            birth_date=date_pb2.Date(
                year=1930 + secrets.randbelow(75), month=1 + secrets.randbelow(12), day=1 + secrets.randbelow(28)
            ),
            birth_place=person.plant("birth_place"),
            addresses=[
                record_pb2.Address(
                    street=person.plant("address.street"),
                    house_number=person.plant("address.house_number"),
                    unit=person.plant("address.unit"),
                    po_box=person.plant("address.po_box"),
                    city=person.plant("address.city"),
                    region=person.plant("address.region"),
                    postal_code=person.plant("address.postal_code"),
                    country="GB",
                )
            ],
            employer=person.plant("employer"),
            occupation=person.plant("occupation"),
            identifiers=[
                record_pb2.Identifier(
                    kind=identity_events_pb2.IDENTIFIER_KIND_EMAIL,
                    value=person.plant("identifier.email") + "@posteo.net",
                ),
                record_pb2.Identifier(
                    kind=identity_events_pb2.IDENTIFIER_KIND_ACCOUNT,
                    namespace="crm",
                    value=person.plant("identifier.account"),
                ),
            ],
        ),
    )
    asked = identity_pb2.ResolveRecordRequest(request_id=request_id(), record=record)
    person.profile_id = (await patiently(lambda: shop.identity.ResolveRecord(asked))).profile_id


async def decide(shop: Shop, person: Person, notice_version: int) -> None:
    """Have the ledger know what they allowed, where, and how."""
    captured = consent_pb2.CapturedEvidence(
        surface=person.plant("consent.surface"), method=consent_pb2.CAPTURE_METHOD_CHECKBOX
    )
    answered = consent_pb2.RecordConsentRequest(
        request_id=request_id(),
        profile_id=person.profile_id,
        notice_id=NOTICE,
        notice_version=notice_version,
        locale="en",
        evidence=consent_pb2.Evidence(captured=captured),
    )
    for purpose_id in _ALLOWED:
        answered.items.add(purpose_id=purpose_id, choice=consent_pb2.CONSENT_CHOICE_GRANT)
    await patiently(lambda: shop.consent.RecordConsent(answered))


async def live(shop: Shop, person: Person) -> None:
    """Have them do, in touchpoints, whatever leaves a trace of a word of theirs."""
    viewed = {"viewed": touchpoint_pb2.Viewed(item=touchpoint_pb2.Item(product_id=PRODUCT))}
    # What is decided is known at the next effect, not yet at one of the same moment.
    await until(
        lambda: _ingest(shop, person, request_id(), "", "", viewed),
        lambda outcome: outcome == ingest_pb2.TOUCHPOINT_OUTCOME_RECORDED,
    )
    item = touchpoint_pb2.Item(product_id=PRODUCT, category=person.plant("touchpoint.category"))
    order_id = person.plant("touchpoint.order_id", "ord_")
    line = touchpoint_pb2.Line(item=item, quantity=1, unit_price=_money(9))
    case_id = person.plant("touchpoint.case_id", "cas_")
    for done in (
        {"viewed": touchpoint_pb2.Viewed(item=item)},
        {"searched": touchpoint_pb2.Searched(category=person.plant("touchpoint.searched"), result_count=2)},
        {"cart_changed": _cart(person, line)},
        {"order_placed": touchpoint_pb2.OrderPlaced(order_id=order_id, lines=[line], total=_money(9))},
        {
            "contact_opened": touchpoint_pb2.ContactOpened(
                case_id=case_id, topic=person.plant("touchpoint.topic"), order_id=order_id
            )
        },
        {
            "message_clicked": touchpoint_pb2.MessageClicked(
                notification_id=person.plant("touchpoint.notification_id", "ntf_"), link=person.plant("touchpoint.link")
            )
        },
        {"offer_shown": touchpoint_pb2.OfferShown(offer_id=person.plant("touchpoint.offer_id", "ofr_"))},
    ):
        await _happens(shop, person, done)


async def buy(shop: Shop, person: Person) -> None:
    """Have them be quoted a price, and use it."""
    channel = person.plant("quote.channel")
    quoted = pricing_pb2.GetQuoteRequest(
        profile_id=person.profile_id,
        market=MARKET,
        brand_id=person.plant("quote.brand_id"),
        channel=channel,
        loyalty=person.plant("quote.loyalty"),
        codes=[person.plant("quote.code")],
    )
    quoted.lines.add(product_id=PRODUCT, quantity=1)
    quote = await patiently(lambda: shop.pricing.GetQuote(quoted))
    redeemed = pricing_pb2.RedeemQuoteRequest(
        request_id=request_id(),
        quote=quote.signed,
        profile_id=person.profile_id,
        channel=channel,
        order_id=person.plant("redemption.order_id"),
        source_event_id=person.plant("redemption.source_event_id"),
    )
    await patiently(lambda: shop.pricing.RedeemQuote(redeemed))


async def be_written_to(shop: Shop, person: Person) -> None:
    """Have them say how they want to be written to, and be sent a message that waits."""
    preferred = preference_pb2.SetPreferencesRequest(request_id=request_id(), profile_id=person.profile_id)
    preferred.preferences.add(
        category=person.plant("preference.category"), channel=events_pb2.CHANNEL_EMAIL, wanted=True
    )
    await patiently(lambda: shop.preferences.SetPreferences(preferred))
    kind: dict[str, Any] = {"class": events_pb2.MESSAGE_CLASS_SERVICE}  # a word of the language
    sent = notification_pb2.SendNotificationRequest(
        request_id=request_id(),
        recipient_id=person.profile_id,
        template_id=TEMPLATE,
        category="orders",
        purpose_id=SERVICE,
        variables={"title": content_pb2.ContentValue(text=person.plant("message.variable"))},
        cause_event_id=person.plant("message.cause_event_id", "evt_"),
        decision_ids=[person.plant("message.decision_id", "dec_")],
        supersede_key=person.plant("message.supersede_key"),
        not_before=_ago(days=-30),
        **kind,
    )
    sent.cancelled_by.add(event="touchpoint_recorded").match["case_id"] = person.plant("message.counter_event")
    await patiently(lambda: shop.messages.SendNotification(sent))


async def _happens(shop: Shop, person: Person, done: dict[str, Any]) -> None:
    session_id, brand_id = person.plant("touchpoint.session_id", "ses_"), person.plant("touchpoint.brand_id")
    outcome = await _ingest(shop, person, person.plant("touchpoint.source_event_id"), session_id, brand_id, done)
    assert outcome == ingest_pb2.TOUCHPOINT_OUTCOME_RECORDED


async def _ingest(
    shop: Shop, person: Person, event_id: str, session_id: str, brand_id: str, done: dict[str, Any]
) -> ingest_pb2.TouchpointOutcome.ValueType:
    touchpoint = touchpoint_pb2.Touchpoint(
        occurred_at=_ago(hours=1),
        channel=touchpoint_pb2.CHANNEL_WEB,
        session_id=session_id,
        brand_id=brand_id,
        market=MARKET,
        purpose_ids=[DELIVERY, ANALYTICS],
        **done,
    )
    account = record_pb2.Identifier(
        kind=identity_events_pb2.IDENTIFIER_KIND_ACCOUNT, namespace="crm", value=person.at("identifier.account")
    )
    raw = ingest_pb2.RawTouchpoint(
        source="webshop", source_event_id=event_id, identifiers=[account], touchpoint=touchpoint
    )
    asked = ingest_pb2.IngestTouchpointRequest(request_id=request_id(), touchpoint=raw)
    return (await patiently(lambda: shop.touchpoints.IngestTouchpoint(asked))).outcome


def _cart(person: Person, line: touchpoint_pb2.Line) -> touchpoint_pb2.CartChanged:
    return touchpoint_pb2.CartChanged(
        cart_id=person.plant("touchpoint.cart_id", "crt_"), change=touchpoint_pb2.CART_CHANGE_ADDED, lines=[line]
    )


def _money(units: int) -> money_pb2.Money:
    return money_pb2.Money(currency_code=CURRENCY, units=units)


def _ago(**span: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(datetime.now(UTC) - timedelta(**span))
    return stamp


def of(people: Iterable[Person], strings: Iterable[str]) -> set[str]:
    """Return those strings that are about some people."""
    markers = tuple(person.marker for person in people)
    return {string for string in strings if string.startswith(markers)}
