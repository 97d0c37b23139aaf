"""Events of other contexts become messages, one each, and take back what they make pointless."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration
from notification_desk import Desk, message, request_id, terms
from notification_events import offer, order, payload, told, visit
from notification_installation import MARKETING, SERVICE, NotificationInstallation
from rapport.churn.v1 import events_pb2 as churn
from rapport.notification.v1 import (
    authored_pb2,
    events_pb2,
    notification_pb2,
    template_pb2,
    trigger_pb2,
    watch_pb2,
)
from rapport.pricing.v1 import events_pb2 as pricing
from rapport_chassis.events.envelope import Event
from rapport_chassis.ids import new_id
from rapport_chassis.telemetry.span_file import read_spans
from rapport_chassis.times import stamp
from rapport_notification.telemetry import FAN_OUT
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

PERSON = trigger_pb2.TRIGGER_AUDIENCE_PERSON
WATCHERS = trigger_pb2.TRIGGER_AUDIENCE_WATCHERS


def _class(number: Any) -> dict[str, Any]:
    return {"class": number}  # a word of Python


async def in_force(
    desk: Desk, trigger_id: str, said: trigger_pb2.TriggerTerms, template: template_pb2.TemplateTerms
) -> None:
    await desk.template(said.template_id, template)
    drafted = await desk.triggers.UpsertTrigger(
        trigger_pb2.UpsertTriggerRequest(request_id=request_id(), trigger_id=trigger_id, terms=said)
    )
    await desk.triggers.ActivateTrigger(
        trigger_pb2.ActivateTriggerRequest(
            request_id=request_id(), trigger_id=trigger_id, version=drafted.status.version, reason="opened"
        )
    )


def written(*variables: tuple[str, template_pb2.VariableKind.ValueType]) -> template_pb2.TemplateTerms:
    made = terms("Hello {{ recipient_given_name }}")
    del made.variables["title"]
    for name, kind in variables:
        made.variables[name].kind = kind
    mjml = "<mjml><mj-body><mj-section><mj-column><mj-text>News</mj-text></mj-column></mj-section></mj-body></mjml>"
    names = " ".join(f"{{{{ {name} }}}}" for name, _ in variables)
    made.texts["en"].CopyFrom(template_pb2.TemplateTexts(subject="News", text=f"News {names}", mjml=mjml))
    return made


async def messages_of(desk: Desk, profile_id: str) -> list[notification_pb2.NotificationRecord]:
    request = notification_pb2.ListNotificationsRequest(recipient_id=profile_id)
    return list((await desk.messages.ListNotifications(request)).notifications)


async def one_message(desk: Desk, profile_id: str) -> notification_pb2.NotificationRecord:
    async def there() -> bool:
        return bool(await messages_of(desk, profile_id))

    await eventually(there, timeout_s=20)
    (found,) = await messages_of(desk, profile_id)
    return found


@pytest.fixture(scope="module")
def retention() -> trigger_pb2.TriggerTerms:
    """As the one that ships, and at once."""
    said = trigger_pb2.TriggerTerms(
        event="offer_created",
        audience=PERSON,
        category="offers",
        purpose_id=MARKETING,
        template_id="winback",
        variables={"percent": "percent", "valid_until": "valid_until"},
        delay=Duration(seconds=3600),
        supersede_key="retention",
        **_class(events_pb2.MESSAGE_CLASS_MARKETING),
    )
    said.conditions.add(field="treatment", test=trigger_pb2.CONDITION_TEST_IS, value="treated")
    said.cancelled_by.add(event="risk_cleared", match={"profile_id": "profile_id"})
    return said


async def test_an_offer_becomes_one_message_which_a_newer_one_replaces_and_a_cleared_risk_takes_back(
    installation: NotificationInstallation, desk: Desk, retention: trigger_pb2.TriggerTerms
) -> None:
    variables = [("percent", template_pb2.VARIABLE_KIND_TEXT), ("valid_until", template_pb2.VARIABLE_KIND_DATE)]
    await in_force(desk, "retention", retention, written(*variables))
    broker, who, held_out = installation.broker(), installation.person(MARKETING), installation.person(MARKETING)
    first = offer(who)
    await broker.publish(first, offer(held_out, treatment=pricing.TREATMENT_HELD_OUT), first)
    message = await one_message(desk, who)
    assert message.notification.cause_event_id == first.id
    assert list(message.notification.decision_ids) == [payload(first).offer.decision_id]
    assert message.supersede_key == "retention"

    await broker.publish(offer(who))

    async def replaced() -> bool:
        states = {each.state for each in await messages_of(desk, who)}
        return notification_pb2.NOTIFICATION_STATE_SUPERSEDED in states

    await eventually(replaced, timeout_s=20)
    assert len(await messages_of(desk, who)) == 2

    cleared = churn.RiskCleared(profile_id=who, version=2, clearance=churn.RISK_CLEARANCE_RECOVERED)
    cleared.occurred_at.CopyFrom(stamp(datetime.now(UTC)))
    cleared.recorded_at.CopyFrom(stamp(datetime.now(UTC)))
    await broker.publish(told(cleared, "churn"))

    async def taken_back() -> bool:
        states = {each.state for each in await messages_of(desk, who)}
        return notification_pb2.NOTIFICATION_STATE_CANCELLED in states

    await eventually(taken_back, timeout_s=20)
    assert await messages_of(desk, held_out) == []


async def test_a_fact_that_moves_to_another_profile_is_thanked_for_once_and_only_if_collected_for_it(
    installation: NotificationInstallation, desk: Desk
) -> None:
    thanks = trigger_pb2.TriggerTerms(
        event="touchpoint_recorded",
        audience=PERSON,
        category="orders",
        purpose_id=SERVICE,
        template_id="thanks_now",
        variables={"order_id": "order_id"},
        **_class(events_pb2.MESSAGE_CLASS_SERVICE),
    )
    thanks.conditions.add(field="type", test=trigger_pb2.CONDITION_TEST_IS, value="order_placed")
    await in_force(desk, "thanks_now", thanks, written(("order_id", template_pb2.VARIABLE_KIND_TEXT)))
    who, other, fact = installation.person(), installation.person(), new_id("fact")
    await installation.broker().publish(
        order(other, new_id("fact"), 1, "analytics.visits"),
        order(who, fact, 1, SERVICE),
        order(who, fact, 2, SERVICE),
        last := order(installation.person(), new_id("fact"), 1, SERVICE),
    )
    await one_message(desk, payload(last).fact.profile_id)
    message = await one_message(desk, who)
    sent = await desk.becomes(message.notification.notification_id, "SENT")
    assert sent.notification.channel == events_pb2.CHANNEL_EMAIL
    assert len(installation.mails(who)) == 1
    assert await messages_of(desk, other) == []


async def test_what_people_do_leaves_no_note_unless_it_takes_back_what_waits_for_them(
    installation: NotificationInstallation, desk: Desk
) -> None:
    who, other = installation.person(), installation.person()
    in_an_hour = stamp(datetime.now(UTC) + timedelta(hours=1))
    asked = message(who, not_before=in_an_hour)
    asked.cancelled_by.add(event="touchpoint_recorded", match={"type": "order_placed"})
    waiting = await desk.send(asked)
    told_of = [visit(other), visit(who), order(other, new_id("fact"), 1, "analytics.visits")]
    last = order(who, new_id("fact"), 1, "analytics.visits")
    await installation.broker().publish(*told_of, last)
    await desk.becomes(waiting, "CANCELLED")
    with psycopg.connect(installation.database_settings().dsn.get_secret_value()) as connection:
        query = "SELECT event_id FROM inbox WHERE event_id = ANY (%s)"
        noted = connection.execute(query, ([each.id for each in (*told_of, last)],)).fetchall()
    # What the same person did in the same moment is looked at with it, so it may have left a note, too.
    assert {(last.id,)} <= set(noted) <= {(last.id,), (told_of[1].id,)}


async def test_those_who_watch_a_product_hear_of_it_and_a_pause_takes_back_what_waits(
    installation: NotificationInstallation, desk: Desk
) -> None:
    back = trigger_pb2.TriggerTerms(
        event="stock_changed",
        audience=WATCHERS,
        category="watched_products",
        purpose_id=MARKETING,
        template_id="back_again",
        variables={"product_id": "product_id"},
        delay=Duration(seconds=3600),
        **_class(events_pb2.MESSAGE_CLASS_MARKETING),
    )
    for field, value in (("was_available", "false"), ("available", "true")):
        back.conditions.add(field=field, test=trigger_pb2.CONDITION_TEST_IS, value=value)
    await in_force(desk, "back_again", back, written(("product_id", template_pb2.VARIABLE_KIND_TEXT)))
    product_id, watchers = new_id("product"), [installation.person(MARKETING) for _ in range(3)]
    stranger = installation.person(MARKETING)
    for who, market in [*((each, "DE") for each in watchers), (stranger, "FR")]:
        await desk.watches.WatchProduct(
            watch_pb2.WatchProductRequest(
                request_id=request_id(),
                watch=watch_pb2.Watch(profile_id=who, product_id=product_id, market=market),
            )
        )
    (listed,) = (await desk.watches.ListWatches(watch_pb2.ListWatchesRequest(profile_id=watchers[0]))).watches
    assert listed.product_id == product_id

    def stock(version: int, availability: Any) -> Event:
        now = stamp(datetime.now(UTC))
        message = pricing.StockChanged(product_id=product_id, market="DE", version=version, availability=availability)
        message.occurred_at.CopyFrom(now)
        message.recorded_at.CopyFrom(now)
        return told(message, "pricing")

    broker = installation.broker()
    await broker.publish(stock(1, pricing.AVAILABILITY_OUT_OF_STOCK))

    def heard() -> bool:
        with psycopg.connect(installation.database_settings().dsn.get_secret_value()) as connection:
            query = "SELECT 1 FROM stocks_seen WHERE product_id = %s"
            return connection.execute(query, (product_id,)).fetchone() is not None

    await eventually(heard, timeout_s=20)  # events come in any order: an older one says nothing of "again"
    found = await _simulated_until(desk, "back_again", events=1)
    assert (found.planned, dict(found.refused)) == (0, {"was_available is": 1})
    await broker.publish(stock(2, pricing.AVAILABILITY_IN_STOCK))
    waiting = [await one_message(desk, each) for each in watchers]
    assert await messages_of(desk, stranger) == []
    await eventually(lambda: _linked_to_stock(installation, watchers), timeout_s=20)
    found = await _simulated_until(desk, "back_again", events=2)
    assert (found.planned, found.sent, found.recipients) == (3, 3, 3)

    paused = await desk.triggers.PauseTrigger(
        trigger_pb2.PauseTriggerRequest(request_id=request_id(), trigger_id="back_again", reason="enough")
    )
    assert paused.status.state == authored_pb2.VERSION_STATE_RETIRED
    for each in waiting:
        await desk.becomes(each.notification.notification_id, "CANCELLED")


def _linked_to_stock(installation: NotificationInstallation, watchers: list[str]) -> bool:
    """Say whether what took messages on is recorded, and linked to what heard of the stock."""
    with psycopg.connect(installation.database_settings().dsn.get_secret_value()) as connection:
        query = "SELECT DISTINCT split_part(traceparent, '-', 3) FROM notifications WHERE recipient_id = ANY (%s)"
        ((taken_on_by,),) = connection.execute(query, (watchers,)).fetchall()
    spans = {each.span_id: each for each in read_spans([installation.folder / "telemetry"], "")}
    if taken_on_by not in spans:
        return False
    heard = [spans[span_id].name for _, span_id in spans[taken_on_by].links if span_id in spans]
    return spans[taken_on_by].name == FAN_OUT.name and any("stock_changed" in name for name in heard)


async def _simulated_until(desk: Desk, trigger_id: str, events: int) -> trigger_pb2.TriggerSimulation:
    request = trigger_pb2.SimulateTriggerRequest(trigger_id=trigger_id)

    async def read() -> bool:
        return (await desk.triggers.SimulateTrigger(request)).events >= events

    await eventually(read, timeout_s=20)
    return await desk.triggers.SimulateTrigger(request)


async def test_what_ships_is_drafted_and_what_cannot_be_meant_is_refused(desk: Desk) -> None:
    async def drafted() -> bool:
        listed = await desk.triggers.ListTriggers(trigger_pb2.ListTriggersRequest(page_size=500))
        return {"welcome", "retention_offer", "birthday"} <= {each.trigger_id for each in listed.triggers}

    await eventually(drafted, timeout_s=20)
    said = trigger_pb2.TriggerTerms(
        event="offer_created",
        audience=WATCHERS,
        category="offers",
        purpose_id=MARKETING,
        template_id="welcome",
        **_class(events_pb2.MESSAGE_CLASS_MARKETING),
    )
    for event, audience, field in (
        ("offer_created", WATCHERS, "terms.audience"),
        ("moon_risen", PERSON, "terms.event"),
    ):
        said.event, said.audience = event, audience
        with refused("TRIGGER_INVALID", field):
            await desk.triggers.UpsertTrigger(
                trigger_pb2.UpsertTriggerRequest(request_id=request_id(), trigger_id="odd", terms=said)
            )
    with refused("TRIGGER_NOT_FOUND"):
        await desk.triggers.SimulateTrigger(trigger_pb2.SimulateTriggerRequest(trigger_id="nobody_wrote_it"))
