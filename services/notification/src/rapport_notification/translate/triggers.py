"""Triggers: as messages of the contract, as they are kept, and what they fill into templates."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from rapport.notification.v1 import content_pb2, trigger_pb2
from rapport_chassis.authored import Version

from rapport_notification.domain.contents import Kind
from rapport_notification.domain.errors import ERRORS
from rapport_notification.domain.simulating import Simulation
from rapport_notification.domain.triggers import Audience, Comparison, Condition, Fields, Trigger
from rapport_notification.domain.vocabulary import Channel, MessageClass
from rapport_notification.translate.contents import content_of
from rapport_notification.translate.occurrences import CLASSES
from rapport_notification.translate.templates import status_of

_AUDIENCES: Final = {
    trigger_pb2.TRIGGER_AUDIENCE_PERSON: Audience.PERSON,
    trigger_pb2.TRIGGER_AUDIENCE_WATCHERS: Audience.WATCHERS,
    trigger_pb2.TRIGGER_AUDIENCE_REQUEST: Audience.REQUEST,
}
_TESTS: Final = {
    trigger_pb2.CONDITION_TEST_IS: Comparison.IS,
    trigger_pb2.CONDITION_TEST_IS_NOT: Comparison.IS_NOT,
    trigger_pb2.CONDITION_TEST_BELOW: Comparison.BELOW,
    trigger_pb2.CONDITION_TEST_AT_LEAST: Comparison.AT_LEAST,
    trigger_pb2.CONDITION_TEST_PRESENT: Comparison.PRESENT,
}
_ABOUT_PRODUCTS: Final = frozenset({"price_changed", "stock_changed"})
_ABOUT_REQUESTS: Final = frozenset({"privacy_request_closed"})


def trigger_of(trigger_id: str, version: int, terms: trigger_pb2.TriggerTerms) -> Trigger:
    """Return a trigger as the rules see it.

    Raises:
        RapportError: TRIGGER_INVALID: it cannot mean what it says.
    """
    _check_event(terms)
    try:
        return Trigger(
            trigger_id=trigger_id,
            version=version,
            event=terms.event,
            audience=_AUDIENCES[terms.audience],
            conditions=tuple(Condition(each.field, _TESTS[each.test], each.value) for each in terms.conditions),
            message_class=MessageClass(getattr(terms, "class")),
            category=terms.category,
            purpose_id=terms.purpose_id,
            template_id=terms.template_id,
            variables=dict(terms.variables),
            delay_s=terms.delay.seconds,
            expires_s=terms.expires_after.seconds if terms.HasField("expires_after") else None,
            supersede_key=terms.supersede_key,
            cancelled_by=tuple((each.event, dict(each.match)) for each in terms.cancelled_by),
            once_per_s=terms.once_per.seconds if terms.HasField("once_per") else None,
            brand_id=terms.brand_id,
            channels=tuple((Channel(each.channel), each.purpose_id) for each in terms.channels),
        )
    except (KeyError, ValueError) as error:
        raise ERRORS.error("TRIGGER_INVALID", str(error), field="terms") from error


def terms_of(trigger: Trigger) -> trigger_pb2.TriggerTerms:
    """Return what a trigger says, as a message."""
    terms = trigger_pb2.TriggerTerms(
        event=trigger.event,
        audience=_key(_AUDIENCES, trigger.audience),
        conditions=[
            trigger_pb2.TriggerCondition(field=each.field, test=_key(_TESTS, each.test), value=each.value)
            for each in trigger.conditions
        ],
        category=trigger.category,
        purpose_id=trigger.purpose_id,
        template_id=trigger.template_id,
        variables=trigger.variables,
        delay=_duration(trigger.delay_s),
        supersede_key=trigger.supersede_key,
        brand_id=trigger.brand_id,
    )
    setattr(terms, "class", int(trigger.message_class))
    if trigger.expires_s is not None:
        terms.expires_after.CopyFrom(_duration(trigger.expires_s))
    if trigger.once_per_s is not None:
        terms.once_per.CopyFrom(_duration(trigger.once_per_s))
    for event, match in trigger.cancelled_by:
        terms.cancelled_by.add(event=event, match=match)
    for channel, purpose_id in trigger.channels:
        terms.channels.add(channel=int(channel), purpose_id=purpose_id)
    return terms


def trigger_in(version: Version) -> Trigger:
    """Return the trigger that a kept version is."""
    return trigger_of(version.id, version.version, trigger_pb2.TriggerTerms.FromString(version.body))


def trigger_message(version: Version) -> trigger_pb2.Trigger:
    """Return a kept version as a message."""
    return trigger_pb2.Trigger(
        trigger_id=version.id,
        status=status_of(version),
        terms=trigger_pb2.TriggerTerms.FromString(version.body),
    )


def simulation_message(version: int, events: int, found: Simulation) -> trigger_pb2.TriggerSimulation:
    """Return what a simulation found."""
    return trigger_pb2.TriggerSimulation(
        version=version,
        events=events,
        planned=found.planned,
        sent=found.sent,
        superseded=found.superseded,
        cancelled=found.cancelled,
        too_soon=found.too_soon,
        refused=found.refused,
        recipients=found.recipients,
        busiest_day=found.busiest_day,
    )


def content_of_event(kinds: Mapping[str, Kind], values: Fields) -> bytes | str:
    """Return what an event says as the content of a message, or the name of a variable that it cannot be.

    Args:
        kinds: What the variables of the template hold; what is not among them is left out.
        values: As the event says them.
    """
    found = {}
    for name, text in values.items():
        if (kind := kinds.get(name)) is None:
            continue
        value = _value(kind, text)
        if value is None:
            return name
        found[name] = value
    return content_of(found)


def _value(kind: Kind, text: str) -> content_pb2.ContentValue | None:
    made = content_pb2.ContentValue()
    try:
        match kind:
            case Kind.TEXT:
                made.text = text
            case Kind.INTEGER:
                made.integer = int(text)
            case Kind.FLAG:
                made.flag = {"true": True, "false": False}[text]
            case Kind.URL:
                made.url = text
            case Kind.DATE:
                day = date.fromisoformat(text)
                made.date.year, made.date.month, made.date.day = day.year, day.month, day.day
            case Kind.MONEY:
                amount, _, currency = text.partition(" ")
                units, rest = divmod(Decimal(amount), 1)
                made.money.currency_code, made.money.units = currency, int(units)
                made.money.nanos = int(rest * 10**9)
            case Kind.ROWS:
                return None
    except (ValueError, KeyError, InvalidOperation):
        return None
    return made


def _check_event(terms: trigger_pb2.TriggerTerms) -> None:
    """Refuse an event nobody publishes, and an audience that it does not have."""
    for place, event in (("terms.event", terms.event), *_counter_events(terms)):
        if event not in CLASSES:
            raise ERRORS.error("TRIGGER_INVALID", f"there is no event {event!r} to wait for", field=place)
    audience = _AUDIENCES.get(terms.audience)
    wanted = (
        Audience.WATCHERS
        if terms.event in _ABOUT_PRODUCTS
        else Audience.REQUEST
        if terms.event in _ABOUT_REQUESTS
        else Audience.PERSON
    )
    if audience is not wanted:
        raise ERRORS.error(
            "TRIGGER_INVALID", f"{terms.event} is for the audience {wanted.value}", field="terms.audience"
        )


def _counter_events(terms: trigger_pb2.TriggerTerms) -> list[tuple[str, str]]:
    return [(f"terms.cancelled_by[{at}].event", each.event) for at, each in enumerate(terms.cancelled_by)]


def _key(table: Mapping[Any, Any], value: Any) -> Any:
    return next(key for key, held in table.items() if held is value)


def _duration(seconds: int) -> Duration:
    made = Duration()
    made.FromTimedelta(timedelta(seconds=seconds))
    return made
