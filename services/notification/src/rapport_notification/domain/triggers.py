"""Which event leads to which message, as its author says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, Final

from rapport_notification.domain.holds import CounterEvent
from rapport_notification.domain.occurrences import Occurred
from rapport_notification.domain.vocabulary import SECOND_US, Channel, MessageClass

Fields = Mapping[str, str]

_FIELD: Final = re.compile(r"[a-z][a-z0-9_.]{0,100}\Z")
_PLACE: Final = re.compile(r"\{([a-z][a-z0-9_.]{0,100})\}")


class Audience(Enum):
    """To whom a trigger speaks."""

    PERSON = "person"
    """The person the event is about."""
    WATCHERS = "watchers"
    """Those who watch the product it is about."""
    REQUEST = "request"
    """Whoever made the privacy request."""


class Comparison(Enum):
    """How a condition compares."""

    IS = "is"
    IS_NOT = "is not"
    BELOW = "below"
    AT_LEAST = "at least"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class Condition:
    """A field of the event and what must hold of it.

    Attributes:
        field: Its path.
        test: How it is compared.
        value: With what; a number for BELOW and AT_LEAST.
    """

    field: str
    test: Comparison
    value: str = ""

    def __post_init__(self) -> None:
        if not _FIELD.match(self.field):
            raise ValueError("a condition names a field by its path")
        if self.test in {Comparison.BELOW, Comparison.AT_LEAST} and _number(self.value) is None:
            raise ValueError("a condition compares numbers")

    def holds(self, fields: Fields) -> bool:
        """Say whether it holds. What is absent is not equal, and neither below nor above."""
        found = fields.get(self.field)
        if self.test is Comparison.PRESENT:
            return bool(found)
        if self.test is Comparison.IS_NOT:
            return found != self.value
        if self.test is Comparison.IS:
            return found == self.value
        left, right = _number(found), _number(self.value)
        if left is None or right is None:
            return False
        return left < right if self.test is Comparison.BELOW else left >= right


@dataclass(frozen=True, slots=True)
class Trigger:
    """A version of a trigger.

    Attributes:
        trigger_id: Its name.
        version: Its version.
        event: The type it waits for.
        audience: To whom it speaks.
        conditions: All must hold.
        message_class: Of the message.
        category: That preferences speak of.
        purpose_id: That allows it.
        template_id: What is said.
        variables: Of the template: by name the path of the event's field.
        delay_s: How long after the event.
        expires_s: How long after that it is too late; None for never.
        supersede_key: With fields in braces, such as "price:{product_id}"; "" for none.
        cancelled_by: Events that make it pointless: type and, by name, the own field that must be equal.
        once_per_s: At most one to a person in this time; None for no such bound.
        brand_id: The brand that speaks; "" for the event's own.
        channels: Channels it may take, each with the purpose that allows it there, "" for the trigger's; empty for all
            that the template is written for.
    """

    trigger_id: str
    version: int
    event: str
    audience: Audience
    conditions: tuple[Condition, ...]
    message_class: MessageClass
    category: str
    purpose_id: str
    template_id: str
    variables: Mapping[str, str]
    delay_s: int = 0
    expires_s: int | None = None
    supersede_key: str = ""
    cancelled_by: tuple[tuple[str, Mapping[str, str]], ...] = ()
    once_per_s: int | None = None
    brand_id: str = ""
    channels: tuple[tuple[Channel, str], ...] = ()

    def __post_init__(self) -> None:
        if self.delay_s < 0 or (self.expires_s is not None and self.expires_s <= 0):
            raise ValueError("a trigger speaks after its event, and has time to")
        if self.audience is not Audience.REQUEST and not self.purpose_id:
            raise ValueError("a trigger that speaks to a person names the purpose that allows it")

    @classmethod
    def parse(cls, data: Mapping[str, Any], version: int = 1) -> Trigger:
        """Read a trigger as it is authored.

        Raises:
            ValueError: It does not read as one.
        """
        try:
            return cls(
                trigger_id=data["trigger_id"],
                version=version,
                event=data["event"],
                audience=Audience(data["audience"]),
                conditions=tuple(
                    Condition(e["field"], Comparison(e["test"]), e.get("value", "")) for e in data["conditions"]
                ),
                message_class=MessageClass[data["class"].upper()],
                category=data["category"],
                purpose_id=data["purpose_id"],
                template_id=data["template_id"],
                variables=dict(data["variables"]),
                delay_s=data.get("delay_s", 0),
                expires_s=data.get("expires_s"),
                supersede_key=data.get("supersede_key", ""),
                cancelled_by=tuple((e["event"], dict(e["match"])) for e in data.get("cancelled_by", ())),
                once_per_s=data.get("once_per_s"),
                brand_id=data.get("brand_id", ""),
                channels=tuple(
                    (Channel[e["channel"].upper()], e.get("purpose_id", "")) for e in data.get("channels", ())
                ),
            )
        except (KeyError, TypeError) as error:
            raise ValueError("not a trigger") from error


@dataclass(frozen=True, slots=True)
class Planned:
    """A message that a trigger asks for.

    Attributes:
        trigger_id: Which.
        version: Its version.
        values: Of the template's variables, as the event says them.
        about_us: When what it says came to be.
        due_us: Not to be sent before.
        expires_us: Not to be sent from then on.
        supersede_key: With its fields filled in.
        cancelled_by: With their values filled in.
    """

    trigger_id: str
    version: int
    values: Fields
    about_us: int
    due_us: int
    expires_us: int | None
    supersede_key: str
    cancelled_by: tuple[CounterEvent, ...]


def respond(trigger: Trigger, occurred: Occurred) -> Planned | str:
    """Return what a trigger asks for on what happened, or why it asks for nothing.

    What was collected for certain purposes is used for those alone, and no message outlives what it speaks of.
    """
    found = plan(trigger, occurred.event, occurred.fields, occurred.occurred_us)
    if isinstance(found, str):
        return found
    if occurred.purposes is not None and trigger.purpose_id not in occurred.purposes:
        return "collected for other purposes"
    ends = [each for each in (found.expires_us, occurred.expires_us) if each is not None]
    if ends and min(ends) <= found.due_us:
        return "over before it is due"
    return replace(found, expires_us=min(ends, default=None))


def plan(trigger: Trigger, event: str, fields: Fields, occurred_us: int) -> Planned | str:
    """Return what a trigger asks for on an event, or why it asks for nothing: the condition or field that lacks."""
    if event != trigger.event:
        return "another event"
    for condition in trigger.conditions:
        if not condition.holds(fields):
            return f"{condition.field} {condition.test.value}"
    needed = [*trigger.variables.values(), *_PLACE.findall(trigger.supersede_key)]
    needed += [own for _, match in trigger.cancelled_by for own in match.values()]
    if missing := next((path for path in needed if not fields.get(path)), None):
        return f"{missing} absent"
    due = occurred_us + trigger.delay_s * SECOND_US
    return Planned(
        trigger.trigger_id,
        trigger.version,
        {name: fields[path] for name, path in trigger.variables.items()},
        occurred_us,
        due,
        None if trigger.expires_s is None else due + trigger.expires_s * SECOND_US,
        _PLACE.sub(lambda place: fields[place[1]], trigger.supersede_key),
        tuple(
            CounterEvent(name, frozenset((theirs, fields[own]) for theirs, own in match.items()))
            for name, match in trigger.cancelled_by
        ),
    )


def _number(text: str | None) -> Decimal | None:
    try:
        found = Decimal(text) if text else None
    except InvalidOperation:
        return None
    return found if found is not None and found.is_finite() else None
